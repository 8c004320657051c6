"""People, roles, tokens, sessions, and keys that sign."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "identity"
down_revision = "incidents"
branch_labels = None
depends_on = None

TABLES = ("people", "grants", "api_tokens", "sessions", "refresh_tokens", "attempts", "signing_keys")


def upgrade() -> None:
    op.create_table(
        "people",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("tenant", sa.String(64), nullable=False, server_default="default"),
        sa.Column("name", sa.String(128), nullable=False, unique=True, comment="in lower case"),
        sa.Column("password", sa.Text(), nullable=True, comment="argon2id; null: signs in elsewhere"),
        sa.Column("must_change", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("second_factor", sa.LargeBinary(), nullable=True, comment="TOTP secret, sealed"),
        sa.Column("second_factor_on", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column(
            "second_factor_step", sa.BigInteger(), nullable=False, server_default="0", comment="a code is good once"
        ),
        sa.Column("recovery", sa.JSON(), nullable=False, comment="SHA-256 of the recovery codes that are left"),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("disabled_ms", sa.BigInteger(), nullable=True),
    )
    op.create_table(
        "grants",
        sa.Column("tenant", sa.String(64), primary_key=True, server_default="default"),
        sa.Column("person", sa.String(32), primary_key=True),
        sa.Column("role", sa.String(16), primary_key=True),
        sa.Column("jobs", sa.String(64), primary_key=True, comment="name of a job; * stands for any letters"),
        comment="roles of people, each for the jobs that a pattern names",
    )
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("tenant", sa.String(64), nullable=False, server_default="default"),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False, unique=True, comment="SHA-256 of the token"),
        sa.Column("scopes", sa.JSON(), nullable=False, comment="permissions"),
        sa.Column("jobs", sa.String(64), nullable=False),
        sa.Column("made_by", sa.String(128), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("used_ms", sa.BigInteger(), nullable=True, comment="by the hour"),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("tenant", sa.String(64), nullable=False, server_default="default"),
        sa.Column("person", sa.String(32), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("used_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.String(64), nullable=True, comment="of the revocation"),
        comment="one login, and the refresh tokens that follow from it",
    )
    op.create_index("ix_sessions_person", "sessions", ["person"])
    op.create_index("sessions_by_expiry", "sessions", ["expires_ms"])
    op.create_table(
        "refresh_tokens",
        sa.Column("digest", sa.String(64), primary_key=True, comment="SHA-256 of the token"),
        sa.Column("tenant", sa.String(64), nullable=False, server_default="default"),
        sa.Column("session", sa.String(32), nullable=False),
        sa.Column("issued_ms", sa.BigInteger(), nullable=False),
        sa.Column("used_ms", sa.BigInteger(), nullable=True, comment="a second use revokes the session"),
    )
    op.create_index("ix_refresh_tokens_session", "refresh_tokens", ["session"])
    op.create_table(
        "attempts",
        sa.Column(
            "key", sa.String(64), primary_key=True, comment="SHA-256 of the name, whether somebody has it or not"
        ),
        sa.Column("tenant", sa.String(64), nullable=False, server_default="default"),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.Column("locked_ms", sa.BigInteger(), nullable=False, comment="no login until then"),
        comment="logins that failed, since the last that did not",
    )
    op.create_table(
        "signing_keys",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("tenant", sa.String(64), nullable=False, server_default="default"),
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("algorithm", sa.String(16), nullable=False),
        sa.Column("public", sa.LargeBinary(), nullable=False),
        sa.Column("private", sa.LargeBinary(), nullable=True, comment="sealed; null once it signs no more"),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("retired_ms", sa.BigInteger(), nullable=True, comment="signs nothing from then on"),
    )


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)
