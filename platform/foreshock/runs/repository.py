"""Runs of jobs, in the store."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from foreshock.audit import current_actor, record
from foreshock.audit.acting import SYSTEM
from foreshock.runs.model import ACTIVE, Run
from foreshock.store import tables as t
from foreshock.store.store import Store
from foreshock_models.errors import StoreError

__all__ = ["RunRepository"]

TIMES = ("due", "started", "ended", "beat")
PLAIN = ("id", "job", "kind", "state", "cause", "error", "log", "result", "promotion")


class RunRepository:
    """The `Runs` protocol on the store. That two runs of a kind cannot be active is a rule of the table."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def begin(
        self, job: str, kind: str, due: datetime, *, now: datetime, cause: str, promotion: str | None = None
    ) -> Run | None:
        run = Run(
            uuid.uuid4().hex[:12], job, kind, "queued", due, cause, started=now, beat=now, promotion=promotion
        )
        insert = self.store.insert(t.runs).values(**_row(run), active=f"{job}/{kind}")
        served = self.store.insert(t.served).values(job=job, kind=kind, due_ms=_ms(due))
        with self.store.begin() as c:
            new = insert.on_conflict_do_nothing(index_elements=["active"]).returning(t.runs.c.id)
            if c.execute(new).first() is None:
                return None
            c.execute(
                served.on_conflict_do_update(
                    index_elements=["job", "kind"],
                    set_={"due_ms": served.excluded.due_ms},
                    where=t.served.c.due_ms < served.excluded.due_ms,
                )
            )
            if current_actor() != SYSTEM:  # a schedule's own are no act of anybody
                record(self.store, c, "runs:begin", run.id, job=job, kind=kind, cause=cause)
        return run

    def update(self, run_id: str, **changes: Any) -> Run:
        values = {f"{k}_ms" if k in TIMES else k: _ms(v) if k in TIMES else v for k, v in changes.items()}
        if changes.get("state", "running") not in ACTIVE:
            values["active"] = None
        with self.store.begin() as c:
            c.execute(sa.update(t.runs).where(t.runs.c.id == run_id, t.runs.c.state.in_(ACTIVE)).values(**values))
            if changes.get("state") == "cancelled" and current_actor() != SYSTEM:
                record(self.store, c, "runs:cancel", run_id)
        return self.get(run_id)

    def get(self, run_id: str) -> Run:
        with self.store.begin() as c:
            row = c.execute(sa.select(t.runs).where(t.runs.c.id == run_id)).mappings().one_or_none()
        if row is None:
            raise StoreError(f"no run {run_id!r}; see: foreshock runs list")
        return _run(row)

    def recent(self, *, job: str | None = None, kind: str | None = None, limit: int = 50) -> list[Run]:
        query = sa.select(t.runs).order_by(t.runs.c.due_ms.desc()).limit(limit)
        for column, value in ((t.runs.c.job, job), (t.runs.c.kind, kind)):
            if value is not None:
                query = query.where(column == value)
        with self.store.begin() as c:
            return [_run(row) for row in c.execute(query).mappings()]

    def active(self) -> list[Run]:
        with self.store.begin() as c:
            found = c.execute(sa.select(t.runs).where(t.runs.c.state.in_(ACTIVE))).mappings()
            return [_run(row) for row in found]

    def last_due(self, job: str, kind: str, *, now: datetime) -> datetime:
        first = self.store.insert(t.served).values(job=job, kind=kind, due_ms=_ms(now))
        query = sa.select(t.served.c.due_ms).where(t.served.c.job == job, t.served.c.kind == kind)
        with self.store.begin() as c:
            c.execute(first.on_conflict_do_nothing(index_elements=["job", "kind"]))
            return _time(c.execute(query).scalar_one())


def _row(run: Run) -> dict[str, Any]:
    plain = {k: getattr(run, k) for k in PLAIN}
    return {**plain, **{f"{k}_ms": _ms(v) if (v := getattr(run, k)) else None for k in TIMES}}


def _run(row: Any) -> Run:
    fields: dict[str, Any] = {k: row[k] for k in PLAIN}
    fields.update({k: None if (ms := row[f"{k}_ms"]) is None else _time(ms) for k in TIMES})
    return Run(**fields)


def _ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
