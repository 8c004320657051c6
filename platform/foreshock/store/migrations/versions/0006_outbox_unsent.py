"""Index the outbox by notifier, so that one that is down does not slow the queries of another."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

UNSENT = sa.text("sent_ms IS NULL")


def upgrade() -> None:
    op.create_index(
        "outbox_unsent", "outbox", ["notifier", "seq", "due_ms"], sqlite_where=UNSENT, postgresql_where=UNSENT
    )


def downgrade() -> None:
    op.drop_index("outbox_unsent", table_name="outbox")
