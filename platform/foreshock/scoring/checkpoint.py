"""The checkpoint of a job: up to when it is scored, with the state of calibration and policy."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from foreshock.store import tables as t
from foreshock.store.store import Store

__all__ = ["Checkpoint", "CheckpointRepository"]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The checkpoint of a job: model version, last scored time, and states as bytes.

    `revision` counts all changes, those by passes and those by people: a pass that began from another one than
    stands is refused, and begins again.
    """

    version: str
    scored_ms: int
    model_state: bytes
    policy_state: bytes
    revision: int = 0


@dataclass(frozen=True, slots=True)
class CheckpointRepository:
    """Checkpoints in the store."""

    store: Store

    def get(self, job: str, connection: Connection | None = None) -> Checkpoint | None:
        """The checkpoint of a job, or None before its first pass."""
        query = sa.select(t.scorers).where(t.scorers.c.job == job)
        if connection is not None:  # whoever reads it in a transaction will write it
            query = query.with_for_update()
        with self.store.use(connection) as c:
            row = c.execute(query).one_or_none()
        if row is None:
            return None
        return Checkpoint(row.version, row.scored_ms, row.model_state, row.policy_state, row.revision)

    def save(self, c: Connection, job: str, state: Checkpoint) -> None:
        values = {
            "version": state.version, "scored_ms": state.scored_ms,
            "model_state": state.model_state, "policy_state": state.policy_state, "revision": state.revision,
        }  # fmt: skip
        insert = self.store.insert(t.scorers).values(job=job, **values)
        c.execute(insert.on_conflict_do_update(index_elements=["job"], set_=values))

    def jobs(self) -> list[str]:
        """Jobs that scoring has begun on."""
        with self.store.begin() as c:
            return list(c.execute(sa.select(t.scorers.c.job).order_by(t.scorers.c.job)).scalars())
