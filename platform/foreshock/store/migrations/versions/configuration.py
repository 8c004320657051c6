"""Versions of the live settings."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "configuration"
down_revision = "single_sign_on"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "config_versions",
        sa.Column("tenant", sa.String(64), nullable=False, server_default="default"),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("who", sa.String(128), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False, comment="what was set; the rest has its default"),
        sa.Column("cause", sa.String(16), nullable=False),
        sa.Column("problem", sa.Text(), comment="why it could not be applied"),
        comment="versions of the live settings; the newest is in force",
    )
    op.create_table(
        "config_pins",
        sa.Column("tenant", sa.String(64), nullable=False, server_default="default"),
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        comment="one row: live settings that the environment fixed at the last start",
    )


def downgrade() -> None:
    op.drop_table("config_pins")
    op.drop_table("config_versions")
