"""Alerts of one kind of a job, without reading all of the job."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("alerts_by_job_kind", "alerts", ["job", "kind", "seq"])


def downgrade() -> None:
    op.drop_index("alerts_by_job_kind", table_name="alerts")
