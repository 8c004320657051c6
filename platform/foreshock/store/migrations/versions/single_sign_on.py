"""Single sign-on and sessions of browsers: identities at a provider, states that are used up, cookies."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "single_sign_on"
down_revision = "calls"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "people",
        sa.Column("external", sa.String(64), nullable=True, comment="SHA-256 of issuer and subject at a provider"),
    )
    op.create_index("people_by_external", "people", ["external"], unique=True)
    op.add_column(
        "sessions",
        sa.Column("cookie", sa.String(64), nullable=True, comment="SHA-256 of the cookie of a browser"),
    )
    op.create_index("sessions_by_cookie", "sessions", ["cookie"], unique=True)
    op.create_table(
        "sign_in_states",
        sa.Column("digest", sa.String(64), primary_key=True, comment="SHA-256 of the state"),
        sa.Column("tenant", sa.String(64), nullable=False, server_default="default"),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        comment="states of single sign-on that came back: each is good once",
    )
    op.create_index("sign_in_states_by_expiry", "sign_in_states", ["expires_ms"])


def downgrade() -> None:
    op.drop_table("sign_in_states")
    op.drop_index("sessions_by_cookie", "sessions")
    op.execute("ALTER TABLE sessions DROP COLUMN cookie")
    op.drop_index("people_by_external", "people")
    op.execute("ALTER TABLE people DROP COLUMN external")
