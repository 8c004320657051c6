"""Escalation of incidents, links that acknowledge, what channels remember, and claims on messages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "oncall"
down_revision = "audit"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pages",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("incident", sa.String(32), primary_key=True),
        sa.Column("policy", sa.String(64), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False, comment="active, acknowledged, or over"),
        sa.Column("step", sa.Integer(), nullable=False, comment="the next step, from 0"),
        sa.Column("round", sa.Integer(), nullable=False, comment="how often the policy has been gone through"),
        sa.Column("at_ms", sa.BigInteger(), nullable=False, comment="when that was decided"),
        sa.Column("due_ms", sa.BigInteger(), nullable=False, comment="of the next step"),
        sa.Column("began", sa.BigInteger(), nullable=False, comment="number of the event that it began with"),
        comment="escalation of incidents: written with the messages of each step",
    )
    op.create_index("pages_by_due", "pages", ["state", "due_ms"])
    op.create_table(
        "threads",
        sa.Column("channel", sa.String(64), primary_key=True),
        sa.Column("incident", sa.String(64), primary_key=True),
        sa.Column("reference", sa.JSON(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        comment="the message about an incident in a channel, so that it can be changed",
    )
    op.create_index("ix_threads_at_ms", "threads", ["at_ms"])
    op.create_table(
        "ack_links",
        sa.Column(
            "digest", sa.String(64), primary_key=True, comment="SHA-256 of the token: it is stored nowhere else"
        ),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("incident", sa.String(32), nullable=False),
        sa.Column("who", sa.String(128), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.Column("used_ms", sa.BigInteger()),
        comment="links that acknowledge an incident, once",
    )
    op.create_index("ix_ack_links_until_ms", "ack_links", ["until_ms"])
    op.create_table(
        "notices",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("key", sa.String(160), primary_key=True),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        comment="what was told once and is not told again: shifts that begin, gaps in schedules",
    )
    op.create_index("ix_notices_at_ms", "notices", ["at_ms"])
    op.add_column("outbox", sa.Column("claimed_ms", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("outbox") as batch:
        batch.drop_column("claimed_ms")
    for table in ("notices", "ack_links", "threads", "pages"):
        op.drop_table(table)
