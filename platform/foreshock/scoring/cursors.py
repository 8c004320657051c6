"""Cursors in the store: when each entity of a job was first and last seen, and up to when it is scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from foreshock.store import tables as t
from foreshock.store.store import Store

__all__ = ["CursorRepository"]


@dataclass(frozen=True, slots=True)
class CursorRepository:
    """Cursors of entities."""

    store: Store

    def save(self, c: Connection, job: str, rows: Sequence[dict[str, Any]]) -> None:
        """Note entities: ``entity, first_ms, seen_ms, scored_ms, warming``."""
        if rows:
            insert = self.store.insert(t.cursors)
            update = {name: insert.excluded[name] for name in ("seen_ms", "scored_ms", "warming")}
            c.execute(
                insert.on_conflict_do_update(index_elements=["job", "entity"], set_=update),
                [{"job": job, **row} for row in rows],
            )

    def of_job(self, job: str) -> list[dict[str, Any]]:
        with self.store.begin() as c:
            found = c.execute(sa.select(t.cursors).where(t.cursors.c.job == job).order_by(t.cursors.c.entity))
            return [dict(row) for row in found.mappings()]

    def delete(self, c: Connection, job: str, entities: Sequence[str]) -> None:
        c.execute(sa.delete(t.cursors).where(t.cursors.c.job == job, t.cursors.c.entity.in_(entities)))
