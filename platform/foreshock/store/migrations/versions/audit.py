"""The audit log, and triggers that refuse to change it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "audit"
down_revision = "identity"
branch_labels = None
depends_on = None

TABLES = ("audit", "audit_details", "audit_heads", "audit_checkpoints", "erasures")
KEPT = ("seq", "tenant", "rest_salt", "kind", "act", "subject", "outcome", "data")
"""Columns of an entry that never change; of the others, only erasure is allowed."""
REFUSAL = "the audit log cannot be changed"
ERASING = "EXISTS (SELECT 1 FROM erasures WHERE erasures.tenant = OLD.tenant)"


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("tenant", sa.String(64), primary_key=True, server_default="default"),
        sa.Column("seq", sa.BigInteger(), primary_key=True),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("who_hash", sa.String(64), nullable=False),
        sa.Column("address_hash", sa.String(64), nullable=False),
        sa.Column("rest_hash", sa.String(64), nullable=False),
        sa.Column("leaf", sa.String(64), nullable=False),
        comment="leaves of the audit log; triggers refuse UPDATE and DELETE",
    )
    op.create_table(
        "audit_details",
        sa.Column("tenant", sa.String(64), primary_key=True, server_default="default"),
        sa.Column("seq", sa.BigInteger(), primary_key=True),
        sa.Column("who", sa.String(128), nullable=True),
        sa.Column("who_salt", sa.String(32), nullable=True),
        sa.Column("address", sa.String(64), nullable=True),
        sa.Column("address_salt", sa.String(32), nullable=True),
        sa.Column("rest_salt", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("act", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(512), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("data", sa.Text(), nullable=False, comment="JSON"),
        comment="entries in words; of who and address, triggers allow erasure alone",
    )
    op.create_index("audit_details_by_act", "audit_details", ["tenant", "act", "seq"])
    op.create_table(
        "audit_heads",
        sa.Column("tenant", sa.String(64), primary_key=True, server_default="default"),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("frontier", sa.Text(), nullable=False, comment="hashes of the full subtrees"),
    )
    op.create_table(
        "audit_checkpoints",
        sa.Column("tenant", sa.String(64), primary_key=True, server_default="default"),
        sa.Column("size", sa.BigInteger(), primary_key=True),
        sa.Column("root", sa.String(64), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("signatures", sa.JSON(), nullable=False, comment="key id to signature"),
        comment="the newest, and one for each 256 entries",
    )
    op.create_table(
        "erasures",
        sa.Column("tenant", sa.String(64), primary_key=True, server_default="default"),
        sa.Column("began_ms", sa.BigInteger(), nullable=False),
        comment="tenants that are being deleted; their audit log may be deleted with them",
    )
    if op.get_bind().dialect.name == "sqlite":
        _sqlite_triggers()
    else:
        _postgresql_triggers()


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        for name in ("audit_refuse", "audit_refuse_delete", "audit_allow_erasure"):
            op.execute(f"DROP FUNCTION {name}()")


def _changes(differs: str) -> str:
    """A condition: more is changed than what may be erased."""
    kept = " OR ".join(f"NEW.{name} {differs} OLD.{name}" for name in KEPT)
    erased = " OR ".join(
        f"(NEW.{name} {differs} OLD.{name} AND NEW.{name} IS NOT NULL)"
        for name in ("who", "who_salt", "address", "address_salt")
    )
    return f"{kept} OR {erased}"


def _sqlite_triggers() -> None:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
    op.execute(f"CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit {refuse}")
    op.execute(
        f"CREATE TRIGGER audit_details_update BEFORE UPDATE ON audit_details WHEN {_changes('IS NOT')} {refuse}"
    )
    for table in ("audit", "audit_details"):
        op.execute(f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} WHEN NOT {ERASING} {refuse}")


def _postgresql_triggers() -> None:
    raises = f"RAISE EXCEPTION '{REFUSAL}'"
    bodies = {
        "audit_refuse": f"{raises};",
        "audit_refuse_delete": f"IF NOT {ERASING} THEN {raises}; END IF; RETURN OLD;",
        "audit_allow_erasure": f"IF {_changes('IS DISTINCT FROM')} THEN {raises}; END IF; RETURN NEW;",
    }
    for name, body in bodies.items():
        op.execute(f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$")
    op.execute("CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit FOR EACH ROW EXECUTE FUNCTION audit_refuse()")
    op.execute(
        "CREATE TRIGGER audit_details_update BEFORE UPDATE ON audit_details "
        "FOR EACH ROW EXECUTE FUNCTION audit_allow_erasure()"
    )
    for table in ("audit", "audit_details"):
        op.execute(
            f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION audit_refuse_delete()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
        )
