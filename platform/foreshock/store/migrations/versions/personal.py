"""Personal data of audit entries apart from the rest, with a commitment of their own, and pseudonyms after them."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "personal"
down_revision = "second_wall"
branch_labels = None
depends_on = None

KEPT = ("seq", "tenant", "rest_salt", "kind", "act", "subject", "outcome", "data")
ERASABLE = ("who", "who_salt", "address", "address_salt")
REFUSAL = "the audit log cannot be changed"
NEW = {"people": sa.Text(), "people_salt": sa.String(32), "pseudonym": sa.String(32)}


def upgrade() -> None:
    op.add_column(
        "audit", sa.Column("people_hash", sa.String(64), nullable=True, comment="null before this version")
    )
    for name, kind in NEW.items():
        op.add_column("audit_details", sa.Column(name, kind, nullable=True))
    pseudonym = "(NEW.pseudonym {differs} OLD.pseudonym AND (OLD.who IS NULL OR NEW.who IS NOT NULL))"
    _trigger((*ERASABLE, "people", "people_salt"), pseudonym)


def downgrade() -> None:
    c = op.get_bind()
    if c.dialect.name == "sqlite":
        op.execute("DROP TRIGGER audit_details_update")
    else:
        op.execute("ALTER TABLE audit_details DISABLE TRIGGER audit_details_update")
    query = (
        "SELECT tenant, seq, subject, data, people FROM audit_details WHERE people IS NOT NULL AND people <> '{}'"
    )
    change = "UPDATE audit_details SET subject = :subject, data = :data WHERE tenant = :tenant AND seq = :seq"
    for tenant, seq, subject, data, text in c.execute(sa.text(query)).fetchall():
        try:
            people, rest = json.loads(text), json.loads(data)
        except ValueError:  # not written by Foreshock: it stays as it is
            continue
        whole = json.dumps({**rest, **people.get("data", {})})
        values = {"subject": people.get("subject", subject), "data": whole, "tenant": tenant, "seq": seq}
        c.execute(sa.text(change), values)
    for name in NEW:
        op.execute(f"ALTER TABLE audit_details DROP COLUMN {name}")
    op.execute("ALTER TABLE audit DROP COLUMN people_hash")
    if c.dialect.name == "postgresql":
        op.execute("ALTER TABLE audit_details ENABLE TRIGGER audit_details_update")
    _trigger(ERASABLE, None, drop=False)


def _trigger(erasable: tuple[str, ...], more: str | None, *, drop: bool = True) -> None:
    """Let an update do nothing but erase what may be erased."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    differs = "IS NOT" if sqlite else "IS DISTINCT FROM"
    wrong = [f"NEW.{name} {differs} OLD.{name}" for name in KEPT]
    wrong += [f"(NEW.{name} {differs} OLD.{name} AND NEW.{name} IS NOT NULL)" for name in erasable]
    wrong += [more.format(differs=differs)] if more else []
    condition = " OR ".join(wrong)
    if sqlite:
        if drop:
            op.execute("DROP TRIGGER audit_details_update")
        op.execute(
            f"CREATE TRIGGER audit_details_update BEFORE UPDATE ON audit_details WHEN {condition} "
            f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
        )
        return
    op.execute(
        "CREATE OR REPLACE FUNCTION audit_allow_erasure() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF {condition} THEN RAISE EXCEPTION '{REFUSAL}'; END IF; RETURN NEW; END $$"
    )
