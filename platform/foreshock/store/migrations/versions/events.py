"""The append-only table of events, and how far each consumer has read it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "events"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True
        ),
        sa.Column("tenant", sa.String(64), nullable=False, server_default="default"),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.String(16), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sqlite_autoincrement=True,
        comment="what happened: written with it, never changed",
    )
    op.create_index("events_by_tenant", "events", ["tenant", "seq"])
    op.create_index("events_by_subject", "events", ["tenant", "subject", "seq"])
    op.create_index("events_by_age", "events", ["at_ms"])
    op.create_table(
        "readers",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("consumer", sa.String(32), primary_key=True),
        sa.Column("seq", sa.BigInteger(), nullable=False, comment="the last event that it has taken in"),
        comment="how far each consumer of events has read: written with what it made of them",
    )


def downgrade() -> None:
    op.drop_table("readers")
    op.drop_table("events")
