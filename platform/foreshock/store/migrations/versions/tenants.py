"""A tenant in every table; on PostgreSQL, policies that show the rows of one tenant alone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "tenants"
down_revision = "oncall"
branch_labels = None
depends_on = None

NEW = (
    "scorers", "cursors", "alerts", "history", "outbox", "unwritten", "runs", "served", "silences", "feedback",
    "forecasts", "threads",
)  # fmt: skip
GUARDED = (*NEW, "events", "readers", "incidents", "members", "pages", "ack_links", "notices")
SETTING = "current_setting('foreshock.tenant', true)"


def upgrade() -> None:
    op.create_table(
        "tenants",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        comment="the tenants of this installation",
    )
    op.execute("INSERT INTO tenants (name, created_ms) VALUES ('default', 0)")
    for table in NEW:
        op.add_column(table, sa.Column("tenant", sa.String(64), nullable=False, server_default="default"))
    op.create_index("alerts_by_tenant", "alerts", ["tenant", "seq"])
    if op.get_bind().dialect.name == "postgresql":
        for table in GUARDED:
            op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
            op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
            op.execute(
                f"CREATE POLICY one_tenant ON {table} USING (tenant = {SETTING} OR {SETTING} = '*') "
                f"WITH CHECK (tenant = {SETTING} OR {SETTING} = '*')"
            )


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table in GUARDED:
            op.execute(f"DROP POLICY one_tenant ON {table}")
            op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
            op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
    op.drop_index("alerts_by_tenant", "alerts")
    for table in NEW:
        op.execute(f"ALTER TABLE {table} DROP COLUMN tenant")
    op.drop_table("tenants")
