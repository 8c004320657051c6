"""Calls between nodes, as service-graph metrics show them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "calls"
down_revision = "tenants"
branch_labels = None
depends_on = None

SETTING = "current_setting('foreshock.tenant', true)"


def upgrade() -> None:
    op.create_table(
        "calls",
        sa.Column("tenant", sa.String(64), nullable=False, server_default="default"),
        sa.Column("job", sa.String(64), primary_key=True),
        sa.Column("caller", sa.String(512), primary_key=True),
        sa.Column("callee", sa.String(512), primary_key=True),
        sa.Column(
            "seen_ms", sa.BigInteger(), nullable=False, comment="when it was last counted, to a twentieth of `keep`"
        ),
        comment="calls between nodes, as service-graph metrics showed them",
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE calls ENABLE ROW LEVEL SECURITY")
        op.execute("ALTER TABLE calls FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY one_tenant ON calls USING (tenant = {SETTING} OR {SETTING} = '*') "
            f"WITH CHECK (tenant = {SETTING} OR {SETTING} = '*')"
        )


def downgrade() -> None:
    op.drop_table("calls")
