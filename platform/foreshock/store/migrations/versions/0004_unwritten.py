"""Scores that wait for their receiver."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "unwritten",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True
        ),
        sa.Column("job", sa.String(64), nullable=False),
        sa.Column("posted_ms", sa.BigInteger(), nullable=False),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("block", sa.LargeBinary(), nullable=False, comment="an Arrow IPC stream"),
        comment="scores that wait for the receiver of remote write: written with the pass, before anything is sent",
    )
    op.create_index("unwritten_by_job", "unwritten", ["job", "seq"])
    op.create_index("unwritten_by_posted", "unwritten", ["posted_ms"])


def downgrade() -> None:
    op.drop_table("unwritten")
