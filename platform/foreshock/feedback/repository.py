"""Feedback on alerts, in the store."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from foreshock.feedback.model import Feedback
from foreshock.store import tables as t
from foreshock.store.store import Store

__all__ = ["FeedbackRepository"]


class FeedbackRepository:
    """Feedback is never taken away, only undone."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def add(self, c: Connection, feedback: Feedback) -> None:
        c.execute(sa.insert(t.feedback).values(**asdict(feedback)))

    def undo(self, c: Connection, feedback_id: str, now_ms: int) -> None:
        c.execute(sa.update(t.feedback).where(t.feedback.c.id == feedback_id).values(undone_ms=now_ms))

    def of_alert(self, alert: str, connection: Connection | None = None) -> list[Feedback]:
        """All that was said of an alert, the oldest first."""
        return self._read(connection, t.feedback.c.alert == alert)

    def in_force(
        self, job: str, verdict: str, *, entity: str | None = None, connection: Connection | None = None
    ) -> list[Feedback]:
        """Feedback of a verdict in a job that is not undone, the oldest first."""
        f = t.feedback.c
        wanted = [f.job == job, f.verdict == verdict, f.undone_ms.is_(None)]
        return self._read(connection, *wanted, *([f.entity == entity] if entity is not None else []))

    def _read(self, connection: Connection | None, *wanted: Any) -> list[Feedback]:
        query = sa.select(*t.fields(t.feedback)).where(*wanted).order_by(t.feedback.c.at_ms, t.feedback.c.id)
        with self.store.use(connection) as c:
            return [Feedback(**row) for row in c.execute(query).mappings()]
