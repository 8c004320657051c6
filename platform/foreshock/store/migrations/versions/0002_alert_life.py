"""The life of alerts: what an alert is about, who resolved it, what was held back; silences and feedback in use."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

LIVE_ROWS = sa.text("state IN ('open', 'acknowledged')")
ALERT_INDEXES = {
    "alerts_by_entity": ["entity", "seq"],
    "alerts_by_job_entity": ["job", "entity", "seq"],
    "alerts_by_job_state": ["job", "state", "seq"],
    "alerts_by_kind": ["kind", "seq"],
    "alerts_by_severity": ["severity", "seq"],
    "alerts_by_resolved": ["resolved_ms"],
    "alerts_by_updated": ["updated_ms"],
}


def columns() -> dict[str, list[sa.Column[Any]]]:
    return {
        "alerts": [
            sa.Column("feature", sa.String(64), nullable=False, server_default=""),
            sa.Column("resolved_by", sa.String(128), nullable=True),
            sa.Column(
                "announced", sa.Boolean(), nullable=False, server_default=sa.true(), comment="receivers know of it"
            ),
        ],
        "cursors": [sa.Column("warming", sa.Boolean(), nullable=False, server_default=sa.false())],
        "scorers": [sa.Column("revision", sa.Integer(), nullable=False, server_default="0")],
        "silences": [
            sa.Column("ended_by", sa.String(128), nullable=True),
            sa.Column(
                "exclude", sa.Boolean(), nullable=False, server_default=sa.false(),
                comment="its rows are not learnt from",
            ),
        ],
        "feedback": [sa.Column("note", sa.Text(), nullable=False, server_default="")],
    }  # fmt: skip


def upgrade() -> None:
    for table, added in columns().items():
        for column in added:
            op.add_column(table, column)
    op.drop_index("alerts_by_job_entity", table_name="alerts")
    for name, names in ALERT_INDEXES.items():
        op.create_index(name, "alerts", names)
    op.create_index(
        "alerts_live", "alerts", ["job", "entity", "kind", "feature"], unique=True,
        sqlite_where=LIVE_ROWS, postgresql_where=LIVE_ROWS,
    )  # fmt: skip
    op.drop_index("outbox_due", table_name="outbox")
    op.create_index("outbox_by_sent", "outbox", ["sent_ms", "seq"])
    op.create_index("runs_by_due", "runs", ["due_ms"])
    op.create_index("runs_by_ended", "runs", ["ended_ms"])
    op.create_index("silences_by_end", "silences", ["end_ms"])


def downgrade() -> None:
    op.drop_index("silences_by_end", table_name="silences")
    op.drop_index("runs_by_ended", table_name="runs")
    op.drop_index("runs_by_due", table_name="runs")
    op.drop_index("outbox_by_sent", table_name="outbox")
    op.create_index("outbox_due", "outbox", ["sent_ms", "due_ms"])
    op.drop_index("alerts_live", table_name="alerts")
    for name in ALERT_INDEXES:
        op.drop_index(name, table_name="alerts")
    op.create_index("alerts_by_job_entity", "alerts", ["job", "entity", "state"])
    for table, added in columns().items():
        with op.batch_alter_table(table) as batch:
            for column in added:
                batch.drop_column(column.name)
