"""PostgreSQL's policies for people, tokens, sessions and the audit log, as other tables of tenants have them.

A request is of nobody until its token was looked up: it then sees these tables whole (`SOMEBODY`), and no other.
"""

from __future__ import annotations

from alembic import op

revision = "second_wall"
down_revision = "configuration"
branch_labels = None
depends_on = None

TENANTS = {
    "people": "tenant",
    "grants": "tenant",
    "api_tokens": "tenant",
    "sessions": "tenant",
    "refresh_tokens": "tenant",
    "audit": "tenant",
    "audit_details": "tenant",
    "audit_heads": "tenant",
    "audit_checkpoints": "tenant",
    "tenants": "name",
}
"""Table to its column of the tenant."""
SETTING = "current_setting('foreshock.tenant', true)"
SOMEBODY = "-"


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for table, column in TENANTS.items():
        rule = f"{column} = {SETTING} OR {SETTING} IN ('*', '{SOMEBODY}')"
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY one_tenant ON {table} USING ({rule}) WITH CHECK ({rule})")


def downgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for table in TENANTS:
        op.execute(f"DROP POLICY one_tenant ON {table}")
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
