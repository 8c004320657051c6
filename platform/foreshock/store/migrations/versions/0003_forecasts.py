"""The latest forecast of each series."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "forecasts",
        sa.Column("job", sa.String(64), nullable=False),
        sa.Column("entity", sa.String(512), nullable=False),
        sa.Column("feature", sa.String(64), nullable=False),
        sa.Column("made_ms", sa.BigInteger(), nullable=False),
        sa.Column("start_ms", sa.BigInteger(), nullable=False, comment="beginning of the first row"),
        sa.Column("step_s", sa.Float(), nullable=False),
        sa.Column("level", sa.Float(), nullable=False, comment="of the interval"),
        sa.Column(
            "rows", sa.LargeBinary(), nullable=False,
            comment="point, lower, upper: float64, little endian, row by row",
        ),
        sa.Column("method", sa.String(64), nullable=False),
        sa.Column("wape", sa.Float(), nullable=True, comment="backtest error"),
        sa.Column("baseline_wape", sa.Float(), nullable=True, comment="that of seasonal naive on the same rows"),
        sa.Column("exhaustion", sa.JSON(), nullable=True, comment="when it runs out, if the query asks for it"),
        sa.Column("skipped", sa.Text(), nullable=True, comment="why there is no forecast"),
        sa.PrimaryKeyConstraint("job", "entity", "feature"),
        comment="the latest forecast of each series",
    )  # fmt: skip


def downgrade() -> None:
    op.drop_table("forecasts")
