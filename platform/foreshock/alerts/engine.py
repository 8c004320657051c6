"""What a pass of scored rows does to the alerts of a job: one transaction, which may be repeated."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.engine import Connection

from foreshock.alerts.payload import alert_payload, causes_json, summarise
from foreshock.logs import get_logger
from foreshock.notify import notifier_id
from foreshock.store.store import Alert, ScorerState, Store
from foreshock_models.calibration.state import State
from foreshock_models.policy import Policy, Step, Walk, severity
from foreshock_pipelines.datasets.windows import entity_labels
from foreshock_pipelines.jobfile import Job, format_duration
from foreshock_pipelines.jobs.score import Cause, Scored, policy_of

__all__ = ["Change", "Engine"]

log = get_logger("alerts")
LATE_STEPS = 10
"""An alert that is found so many steps after its time is marked late."""
CURSOR_EVERY_MS = 60_000
"""How often the entities of a job are noted in the store."""


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to an alert: ``opened``, ``reopened``, ``escalated``, ``resolved`` or ``updated``."""

    event: str
    alert: Alert


@dataclass
class Engine:
    """Applies the alert policy of jobs; all that it knows is in the store.

    Parameters
    ----------
    url
        Base of the links in alerts.
    """

    store: Store
    url: str = ""
    _noted: dict[str, int] = field(default_factory=dict)

    def take(self, job: Job, scored: Scored, now_ms: int) -> list[Change]:
        """Write what a pass means: alerts, their history, the outbox, and where scoring stands.

        Rows that were taken before are not taken again, so that a pass may be repeated after a crash.
        """
        policy = policy_of(job)
        panel = scored.panel
        last_ms = int(panel.timestamps.max())
        with self.store.begin() as c:
            known = self.store.scorer(job.name, c)
            if known is not None and known.scored_ms >= last_ms:
                return []
            before = State.from_bytes(known.policy_state) if known else State()
            walk = policy.walk(panel, scored.score, scored.permitted, before)
            after = State.merge([before, walk.state])
            live = self.store.live_alerts(job.name, c)
            changes = self._anomalies(c, job, scored, walk, live, now_ms)
            after, absent = self._absences(c, job, after, live, last_ms, now_ms)
            changes += absent
            changes += self._notices(c, job, scored, now_ms)
            state = ScorerState(scored.version, last_ms, scored.state.to_bytes(), after.to_bytes())
            self.store.save_scorer(c, job.name, state)
            self._note_entities(c, job, scored, after, last_ms)
            for change in changes:
                self._post(c, job, change, now_ms)
        return changes

    # -- anomalies -------------------------------------------------------------------------------------
    def _anomalies(
        self,
        c: Connection,
        job: Job,
        scored: Scored,
        walk: Walk,
        live: dict[tuple[str, str], Alert],
        now_ms: int,
    ) -> list[Change]:
        changes: list[Change] = []
        panel = scored.panel
        explained = np.array(sorted(scored.causes), dtype=np.int64)
        for i in _telling_rows(walk.step, panel.codes):
            entity = panel.entities[panel.codes[i]]
            at = int(panel.timestamps[i])
            alert = live.get((entity, "anomaly"))
            step = walk.step[i]
            change: Change | None = None
            if step == Step.OPENED and alert is None:
                change = self._open(c, job, scored, int(i), explained, now_ms)
            elif step == Step.RESOLVED and alert is not None:
                why = f"no anomalous row for {format_duration(job.alerts.resolve_after)}"
                change = self._resolve(c, alert, at, "foreshock", why)
            elif alert is not None and step in (Step.ANOMALOUS, Step.QUIET):
                change = self._update(c, alert, float(scored.score[i]), float(walk.peak[i]), at)
            if change is not None:
                changes.append(change)
                if change.event == "resolved":
                    live.pop((entity, "anomaly"), None)
                else:
                    live[entity, "anomaly"] = change.alert
        return changes

    def _open(
        self, c: Connection, job: Job, scored: Scored, row: int, explained: NDArray[np.int64], now_ms: int
    ) -> Change | None:
        panel = scored.panel
        entity = panel.entities[panel.codes[row]]
        at = int(panel.timestamps[row])
        score = float(scored.score[row])
        causes = _causes_at(scored, row, explained)
        before = self.store.last_resolved(c, job.name, entity, "anomaly")
        again = job.alerts.resolve_after.total_seconds() * 1000
        if before is not None and before.resolved_ms is not None and at - before.resolved_ms <= again:
            alert = replace(
                before, state="open", resolved_ms=None, updated_ms=at, score=score, peak=max(before.peak, score),
                causes=causes_json(causes) or before.causes,
            )  # fmt: skip
            why = "anomalous again soon after it was resolved"
            self.store.save_alert(c, alert, event="reopened", at_ms=at, who="foreshock", why=why)
            return Change("reopened", alert)
        warming = bool(scored.warming[row])
        summary = summarise(job.name, entity, score, causes) + (" (still warming up)" if warming else "")
        alert = self._new(
            job, entity, "anomaly", at, severity(score, 0.0), score, summary,
            causes=causes_json(causes), version=scored.version, warming=warming,
            late=now_ms - at > LATE_STEPS * job.step_seconds * 1000,
        )  # fmt: skip
        return self._save_new(c, alert, at, f"{job.alerts.for_} rows scored at least 1")

    def _update(self, c: Connection, alert: Alert, score: float, peak: float, at: int) -> Change:
        grade = severity(peak, (at - alert.opened_ms) / 1000)
        changed = replace(alert, updated_ms=at, score=score, peak=max(alert.peak, peak), severity=grade)
        event = "escalated" if grade != alert.severity and grade == "critical" else "updated"
        why = f"score {changed.peak:.2f}, open for {(at - alert.opened_ms) // 60000} min"
        self.store.save_alert(c, changed, event=event, at_ms=at, who="foreshock", why=why)
        return Change(event, changed)

    def _resolve(self, c: Connection, alert: Alert, at: int, who: str, why: str) -> Change:
        done = replace(alert, state="resolved", resolved_ms=at, updated_ms=at)
        self.store.save_alert(c, done, event="resolved", at_ms=at, who=who, why=why)
        return Change("resolved", done)

    # -- what is not there -----------------------------------------------------------------------------
    def _absences(
        self,
        c: Connection,
        job: Job,
        state: State,
        live: dict[tuple[str, str], Alert],
        last_ms: int,
        now_ms: int,
    ) -> tuple[State, list[Change]]:
        """Open an alert for each entity that fell silent, resolve those that are back, forget the long gone."""
        if job.alerts.absent_after is None:
            return state, []
        changes = []
        limit = job.alerts.absent_after.total_seconds() * 1000
        forget = job.alerts.forget_after.total_seconds() * 1000
        gone: list[str] = []
        for entity, seen in Policy.last_seen(state).items():
            alert = live.get((entity, "absent"))
            silent = last_ms - seen
            if seen and silent > forget:
                gone.append(entity)
                if alert is not None:
                    why = f"silent for {format_duration(job.alerts.forget_after)}: taken as decommissioned"
                    changes.append(self._resolve(c, alert, last_ms, "foreshock", why))
            elif seen and silent > limit and alert is None:
                summary = f"{entity} ({job.name}) has sent nothing for {round(silent / 60000)} min"
                at = seen + round(job.step_seconds * 1000)
                new = self._new(job, entity, "absent", at, "warning", 0.0, summary, updated_ms=last_ms)
                opened = self._save_new(c, new, last_ms, f"no sample since {round(silent / 1000)} s")
                changes += [opened] if opened else []
            elif alert is not None and silent <= limit:
                changes.append(self._resolve(c, alert, last_ms, "foreshock", "samples arrive again"))
        if gone:
            self.store.forget(c, job.name, gone)
            state = state.select([name for name in state.entities if name not in set(gone)])
        return state, changes

    def _notices(self, c: Connection, job: Job, scored: Scored, now_ms: int) -> list[Change]:
        """Say once that an entity has a new normal."""
        changes = []
        for entity, at in scored.new_normal:
            summary = f"{entity} ({job.name}) has a new normal: its level of the last day is now taken as usual"
            new = self._new(job, entity, "notice", at, "info", 0.0, summary, version=scored.version)
            opened = self._save_new(c, replace(new, state="resolved", resolved_ms=at), at, "new normal")
            changes += [opened] if opened else []
        return changes

    # -- small parts -----------------------------------------------------------------------------------
    def _new(
        self, job: Job, entity: str, kind: str, at: int, grade: str, score: float, summary: str, **more: Any
    ) -> Alert:
        """A new alert; its id follows from what it is about, so that a repeated pass makes no second one."""
        key = "\0".join((job.name, entity, kind, str(at)))
        fields: dict[str, Any] = {"updated_ms": at, "causes": [], **more}
        return Alert(
            id=hashlib.sha256(key.encode()).hexdigest()[:16], job=job.name, entity=entity,
            labels=entity_labels(entity, job.entity), kind=kind, state="open", severity=grade,
            opened_ms=at, score=score, peak=score, summary=summary, **fields,
        )  # fmt: skip

    def _save_new(self, c: Connection, alert: Alert, at: int, why: str) -> Change | None:
        new = self.store.save_alert(c, alert, event="opened", at_ms=at, who="foreshock", why=why)
        return Change("opened", alert) if new else None

    def _post(self, c: Connection, job: Job, change: Change, now_ms: int) -> None:
        if change.event == "updated":
            return
        alert = change.alert
        payload = alert_payload(alert, change.event, self.url)
        for config in job.notify:
            to = notifier_id(job.name, config)
            key = f"{alert.id}/{change.event}/{alert.updated_ms}/{to}"
            self.store.post(c, key, to, payload, now_ms)

    def _note_entities(self, c: Connection, job: Job, scored: Scored, state: State, last_ms: int) -> None:
        """Which entities there are, for people; the scorer's own states are what scoring goes on from."""
        if last_ms - self._noted.get(job.name, 0) < CURSOR_EVERY_MS:
            return
        self._noted[job.name] = last_ms
        first = int(scored.panel.timestamps.min())
        rows: Iterable[tuple[str, int]] = Policy.last_seen(state).items()
        self.store.save_cursors(
            c, job.name,
            [{"entity": e, "first_ms": seen or first, "seen_ms": seen, "scored_ms": last_ms} for e, seen in rows],
        )  # fmt: skip


def _telling_rows(step: NDArray[np.int8], codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows where an alert opens or resolves, and each entity's last row, where an open one is updated."""
    last = np.r_[codes[1:] != codes[:-1], True]
    telling: NDArray[np.int64] = np.flatnonzero(
        (step == Step.OPENED) | (step == Step.RESOLVED) | (last & (step != Step.CALM))
    )
    return telling


def _causes_at(scored: Scored, row: int, explained: NDArray[np.int64]) -> list[Cause]:
    """The causes at the last explained row of that entity that is not after `row`."""
    codes = scored.panel.codes
    at = int(np.searchsorted(explained, row, side="right")) - 1
    if at < 0 or codes[explained[at]] != codes[row]:
        return []
    return scored.causes[int(explained[at])]
