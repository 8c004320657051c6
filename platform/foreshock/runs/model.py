"""Runs of jobs as records: kind, state, cause and result."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from foreshock_models.errors import StoreError, allowed

__all__ = ["ACTIVE", "KINDS", "Kind", "MemoryRuns", "Run", "RunState", "Runs"]

Kind = Literal["train", "tune", "forecast"]
KINDS: tuple[Kind, ...] = ("train", "tune", "forecast")
RunState = Literal["queued", "running", "succeeded", "failed", "cancelled"]
ACTIVE: tuple[RunState, ...] = ("queued", "running")


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a job.

    ``due`` is the time that the schedule wanted; ``cause`` says who or what started it; ``beat`` is its last
    sign of life; ``log`` its last lines; ``promotion`` the name of its promotion policy, None for that of its kind.
    """

    id: str
    job: str
    kind: str
    state: str
    due: datetime
    cause: str = "schedule"
    started: datetime | None = None
    ended: datetime | None = None
    beat: datetime | None = None
    error: str | None = None
    log: str = ""
    result: dict[str, Any] = field(default_factory=dict)
    promotion: str | None = None

    def as_json(self) -> dict[str, Any]:
        """JSON values, for the HTTP API and the command line."""
        times = {"due": self.due, "started": self.started, "ended": self.ended}
        plain = {k: getattr(self, k) for k in ("id", "job", "kind", "state", "cause", "error", "log", "result")}
        return plain | {name: at.astimezone(UTC).isoformat() if at else None for name, at in times.items()}


class Runs(Protocol):
    """The repository of runs."""

    def begin(
        self, job: str, kind: str, due: datetime, *, now: datetime, cause: str, promotion: str | None = None
    ) -> Run | None:
        """Note a new run as queued; None if one of its kind is active for that job already."""

    def update(self, run_id: str, **changes: Any) -> Run:
        """Change fields of a run that is still active; one that has ended stays as it is."""

    def get(self, run_id: str) -> Run:
        """One run; StoreError if there is none of that id."""

    def recent(self, *, job: str | None = None, kind: str | None = None, limit: int = 50) -> list[Run]:
        """The newest first."""

    def active(self) -> list[Run]:
        """Those queued or running."""

    def last_due(self, job: str, kind: str, *, now: datetime) -> datetime:
        """The time up to which the schedule is served; `now`, noted for ever, where there is none yet."""


class MemoryRuns:
    """Runs in memory, for tests and notebooks."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}
        self._due: dict[tuple[str, str], datetime] = {}

    def begin(
        self, job: str, kind: str, due: datetime, *, now: datetime, cause: str, promotion: str | None = None
    ) -> Run | None:
        if any(run.job == job and run.kind == kind for run in self.active()):
            return None
        run = Run(
            uuid.uuid4().hex[:12], job, kind, "queued", due, cause, started=now, beat=now, promotion=promotion
        )
        self._runs[run.id] = run
        self._due[job, kind] = max(due, self._due.get((job, kind), due))
        return run

    def update(self, run_id: str, **changes: Any) -> Run:
        run = self.get(run_id)
        if run.state in ACTIVE:
            run = self._runs[run_id] = replace(run, **changes)
        return run

    def get(self, run_id: str) -> Run:
        if run_id not in self._runs:
            raise StoreError(f"no run {run_id!r}; {allowed(run_id, self._runs)}")
        return self._runs[run_id]

    def recent(self, *, job: str | None = None, kind: str | None = None, limit: int = 50) -> list[Run]:
        found = [r for r in self._runs.values() if job in (None, r.job) and kind in (None, r.kind)]
        return sorted(found, key=lambda run: run.due, reverse=True)[:limit]

    def active(self) -> list[Run]:
        return [run for run in self._runs.values() if run.state in ACTIVE]

    def last_due(self, job: str, kind: str, *, now: datetime) -> datetime:
        return self._due.setdefault((job, kind), now)
