"""Incidents, and which alerts they hold."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "incidents"
down_revision = "events"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "incidents",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True
        ),
        sa.Column("tenant", sa.String(64), nullable=False, server_default="default"),
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("opened_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("first_ms", sa.BigInteger(), nullable=False, comment="of its first alert"),
        sa.Column("last_ms", sa.BigInteger(), nullable=False, comment="of its last alert"),
        sa.Column("alerts", sa.Integer(), nullable=False),
        sa.Column("jobs", sa.JSON(), nullable=False),
        sa.Column("entities", sa.JSON(), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("causes", sa.JSON(), nullable=False),
        sa.Column(
            "named", sa.Boolean(), nullable=False, server_default=sa.false(), comment="a person gave it its title"
        ),
        sa.Column("apart", sa.Boolean(), nullable=False, server_default=sa.false(), comment="a person split it"),
        sa.Column("kind", sa.String(64), comment="its class"),
        sa.Column("kind_by", sa.String(128)),
        sa.Column("confidence", sa.Float()),
        sa.Column("assignee", sa.String(128)),
        sa.Column("acknowledged_by", sa.String(128)),
        sa.Column("resolved_by", sa.String(128)),
        sa.Column("resolved_ms", sa.BigInteger()),
        sa.Column("paged_ms", sa.BigInteger()),
        sa.Column("merged_into", sa.String(32)),
    )
    op.create_index("incidents_by_id", "incidents", ["tenant", "id"], unique=True)
    op.create_index("incidents_by_state", "incidents", ["tenant", "state", "seq"])
    op.create_index("incidents_by_age", "incidents", ["tenant", "last_ms"])
    op.create_table(
        "members",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("alert", sa.String(32), primary_key=True),
        sa.Column("incident", sa.String(32), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("node", sa.String(512), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        comment="alerts of incidents, each in one, and why",
    )
    op.create_index("members_by_incident", "members", ["tenant", "incident"])


def downgrade() -> None:
    op.drop_table("members")
    op.drop_table("incidents")
