"""Apply a pass of scored rows to the alerts of a job: one transaction, which may be repeated."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.engine import Connection

from foreshock.alerts.absence import absences, is_back
from foreshock.alerts.findings import Finding, new_alert
from foreshock.alerts.model import Alert, AlertKey
from foreshock.alerts.payload import causes_json, summarise
from foreshock.alerts.publisher import AlertPublisher, Change
from foreshock.alerts.repository import AlertRepository
from foreshock.scoring.checkpoint import Checkpoint, CheckpointRepository
from foreshock.scoring.cursors import CursorRepository
from foreshock.scoring.write_queue import Block, WriteQueue
from foreshock.store.store import Store
from foreshock_models.policy import (
    EntityState,
    Policy,
    PolicyResult,
    record_samples,
    severity,
    with_series,
    without_series,
)
from foreshock_models.state import State
from foreshock_pipelines.jobfile import Job, format_duration
from foreshock_pipelines.scoring.alert_policy import alert_policy
from foreshock_pipelines.scoring.scored_rows import ScoredRows

__all__ = ["PLATFORM", "AlertPipeline", "Change"]

PLATFORM = "foreshock"
"""The author of an automatic change in the history of an alert."""
LATE_STEPS = 10
"""An alert that is found so many steps after its time is marked late."""
CURSOR_EVERY_MS = 60_000
"""How often the entities of a job are noted in the store."""


@dataclass
class AlertPipeline:
    """Applies the alert policy of jobs; all that it knows is in the store.

    Parameters
    ----------
    url
        Base of the links in alerts.
    """

    store: Store
    url: str = ""
    _noted: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.alerts = AlertRepository(self.store)
        self.checkpoints = CheckpointRepository(self.store)
        self.entities = CursorRepository(self.store)
        self.publisher = AlertPublisher(self.store, self.url)
        self.blocks = WriteQueue(self.store)

    def apply(
        self,
        job: Job,
        scored: ScoredRows,
        now_ms: int,
        revision: int | None = None,
        unwritten: Sequence[Block] = (),
    ) -> list[Change] | None:
        """Write what a pass means: alerts, their history, what is to be sent, and where scoring stands.

        Parameters
        ----------
        revision
            That of the `Checkpoint` from which the pass went on, 0 if there was none; None: from what stands.
        unwritten
            The scores, for the receiver of remote write.

        Returns
        -------
        The changes, or None, and nothing is written, if the scorer's state is another one since: a person changed
        it, or a pass was taken, be it this one by a worker that died before it heard so. To be read again.
        """
        panel = scored.panel
        last_ms = scored.last_ms
        first_ms = int(panel.timestamps.min()) if panel.n_rows else last_ms
        silences = self.publisher.unexpired_silences(min(first_ms, last_ms))
        with self.store.begin() as c:
            known = self.checkpoints.get(job.name, c)
            stands = known.revision if known is not None else 0
            if revision is not None and revision != stands:
                return None
            if known is not None and known.scored_ms >= last_ms:
                return []
            before = with_series(State.from_bytes(known.policy_state) if known else State(), panel.features)
            live = self.alerts.live(job.name, c)
            after, changes = before, []
            if panel.n_rows:
                result = alert_policy(job).apply(panel, scored.score, scored.permitted, before)
                rows = State(panel.entities, {**result.state.arrays, **record_samples(before, panel)})
                after = State.merge([before, rows])
                changes = self._anomalies(c, job, scored, result, live, now_ms)
            if scored.partial:  # a row that is not there says nothing
                absent = self._resolve_returned(c, job, after, live, last_ms)
            else:
                after, absent = self._absences(c, job, after, live, last_ms)
            changes += absent
            changes += self._notices(c, job, scored)
            kept = scored.state.select(after.entities)  # what was forgotten is forgotten here too
            state = Checkpoint(scored.version, last_ms, kept.to_bytes(), after.to_bytes(), stands + 1)
            self.checkpoints.save(c, job.name, state)
            self.blocks.post(c, job.name, unwritten, round(time.time() * 1000))  # they wait in real time
            self._save_cursors(c, job, scored, after, last_ms)
            changes = self.publisher.publish(c, changes, silences, now_ms)
            live = self.alerts.live(job.name, c)
            changes += self.publisher.apply_silences(c, live.values(), silences, last_ms, now_ms)
        return changes

    def apply_findings(
        self, job: Job, kind: str, findings: Sequence[Finding], at_ms: int, now_ms: int, *, resolved_why: str
    ) -> list[Change]:
        """Open, update and resolve the alerts of a kind, from all that is found of it in the job at present.

        Parameters
        ----------
        findings
            One for each alert that is to be live; a live one that is not among them is resolved.
        at_ms
            The time that they are about.
        resolved_why
            For the history of what is resolved.
        """
        silences = self.publisher.unexpired_silences(at_ms)
        with self.store.begin() as c:
            live = self.alerts.live(job.name, c)
            changes = self._apply_findings(c, job, kind, findings, live, at_ms, resolved_why)
            return self.publisher.publish(c, changes, silences, now_ms)

    def apply_silences(self, job: Job, now_ms: int) -> list[Change]:
        """Let silences take effect, and end, where no pass of the job does."""
        silences = self.publisher.unexpired_silences(now_ms)
        with self.store.begin() as c:
            live = self.alerts.live(job.name, c)
            return self.publisher.apply_silences(c, live.values(), silences, now_ms, now_ms)

    # -- anomalies -------------------------------------------------------------------------------------
    def _anomalies(
        self,
        c: Connection,
        job: Job,
        scored: ScoredRows,
        result: PolicyResult,
        live: dict[AlertKey, Alert],
        now_ms: int,
    ) -> list[Change]:
        changes: list[Change] = []
        panel = scored.panel
        for i in _rows_with_changes(result.entity_state, panel.codes).tolist():
            key = (panel.entities[panel.codes[i]], "anomaly", "")
            at = int(panel.timestamps[i])
            alert = live.get(key)
            state = result.entity_state[i]
            change: Change | None = None
            if state == EntityState.OPENED and alert is None:
                change = self._open(c, job, scored, result, i, now_ms)
            elif state == EntityState.RESOLVED and alert is not None:
                why = f"no anomalous row for {format_duration(job.alerts.resolve_after)}"
                change = self._resolve(c, alert, at, why, float(result.peak[i]))
            elif alert is not None and state in (EntityState.ANOMALOUS, EntityState.QUIET):
                change = self._update(c, alert, float(scored.score[i]), float(result.peak[i]), at)
            elif state == EntityState.ANOMALOUS:
                change = self._reopen_if_critical(c, job, key, float(scored.score[i]), at)
            if change is not None:
                changes.append(change)
                live.pop(key, None)
                if change.alert.live:
                    live[key] = change.alert
        return changes

    def _open(
        self,
        c: Connection,
        job: Job,
        scored: ScoredRows,
        result: PolicyResult,
        row: int,
        now_ms: int,
    ) -> Change | None:
        panel = scored.panel
        entity = panel.entities[panel.codes[row]]
        at = int(panel.timestamps[row])
        score = float(scored.score[row])
        causes = scored.causes.at(entity, at)
        before = self.alerts.last_resolved(c, job.name, entity, "anomaly")
        again = job.alerts.resolve_after.total_seconds() * 1000
        if before is not None and before.resolved_ms is not None and at - before.resolved_ms <= again:
            why = f"anomalous again soon after it was resolved by {before.resolved_by or PLATFORM}"
            return self._reopen(c, before, at, score, why, causes_json(causes) or before.causes)
        warming = bool(scored.warming[row])
        summary = summarise(job.name, entity, score, causes) + (" (still warming up)" if warming else "")
        alert = new_alert(
            job, entity, "anomaly", at, summary, severity=severity(score, 0.0), score=score, peak=score,
            causes=causes_json(causes), version=scored.version, warming=warming,
            late=now_ms - at > LATE_STEPS * job.step_seconds * 1000,
        )  # fmt: skip
        change = self._save_new(c, alert, at, f"{job.alerts.for_} rows scored at least 1")
        since = int(result.since[row])
        if change is not None and since < at:
            why = "the first anomalous row"
            self.alerts.add_history(alert.id, "pending", who=PLATFORM, why=why, at_ms=since, c=c)
        return change

    def _reopen_if_critical(self, c: Connection, job: Job, key: AlertKey, score: float, at: int) -> Change | None:
        """An episode that a person resolved goes on: open it again only if it has become critical since."""
        entity, kind, feature = key
        before = self.alerts.last_resolved(c, job.name, entity, kind, feature)
        if before is None or before.resolved_by in (None, PLATFORM) or before.severity == "critical":
            return None
        if severity(score, 0.0) != "critical":
            return None
        return self._reopen(c, before, at, score, f"score {score:.2f}: critical now", before.causes)

    def _reopen(
        self, c: Connection, before: Alert, at: int, score: float, why: str, causes: list[dict[str, object]]
    ) -> Change:
        peak = max(before.peak, score)
        alert = replace(
            before, state="open", resolved_ms=None, resolved_by=None, acknowledged_by=None, updated_ms=at,
            score=score, peak=peak, severity=severity(peak, 0.0), causes=causes,
        )  # fmt: skip
        self.alerts.save(c, alert, event="reopened", at_ms=at, who=PLATFORM, why=why)
        return Change("reopened", alert)

    def _update(self, c: Connection, alert: Alert, score: float, peak: float, at: int) -> Change:
        grade = severity(max(peak, alert.peak), (at - alert.opened_ms) / 1000)
        changed = replace(alert, updated_ms=at, score=score, peak=max(alert.peak, peak), severity=grade)
        event = "escalated" if grade != alert.severity and grade == "critical" else "updated"
        why = f"score {changed.peak:.2f}, open for {(at - alert.opened_ms) // 60000} min"
        self.alerts.save(c, changed, event=event, at_ms=at, who=PLATFORM, why=why)
        return Change(event, changed)

    # -- absence -----------------------------------------------------------------------------------------
    def _absences(
        self, c: Connection, job: Job, state: State, live: dict[AlertKey, Alert], last_ms: int
    ) -> tuple[State, list[Change]]:
        """Open an alert for what fell silent, resolve what is back, forget what is long gone."""
        found = absences(job, state, last_ms)
        why = f"silent for {format_duration(job.alerts.forget_after)}: taken as decommissioned"
        changes = []
        gone = set(found.gone)
        for key, alert in list(live.items()):
            if alert.kind == "absent" and (
                alert.entity in gone or (alert.entity, alert.feature) in found.gone_series
            ):
                changes.append(self._resolve(c, live.pop(key), last_ms, why))
        changes += self._apply_findings(c, job, "absent", found.silent, live, last_ms, "samples arrive again")
        if gone:
            self.entities.delete(c, job.name, found.gone)
            state = state.select([name for name in state.entities if name not in gone])
        return without_series(state, found.gone_series), changes

    def _resolve_returned(
        self, c: Connection, job: Job, state: State, live: dict[AlertKey, Alert], last_ms: int
    ) -> list[Change]:
        """Resolve the alerts of what is back; open and forget nothing."""
        back = [
            key
            for key, alert in live.items()
            if alert.kind == "absent" and is_back(job, state, alert.entity, alert.feature or "", last_ms)
        ]
        return [self._resolve(c, live.pop(key), last_ms, "samples arrive again") for key in back]

    def _notices(self, c: Connection, job: Job, scored: ScoredRows) -> list[Change]:
        """Say once that an entity has a new normal."""
        changes = []
        for entity, at in scored.new_normal:
            summary = f"{entity} ({job.name}) has a new normal: its level of the last day is now taken as usual"
            new = new_alert(job, entity, "notice", at, summary, severity="info", version=scored.version)
            done = replace(new, state="resolved", resolved_ms=at, resolved_by=PLATFORM)
            opened = self._save_new(c, done, at, "new normal")
            changes += [opened] if opened else []
        return changes

    # -- findings -------------------------------------------------------------------------------------
    def _apply_findings(
        self, c: Connection, job: Job, kind: str, findings: Sequence[Finding], live: dict[AlertKey, Alert], at: int,
        resolved_why: str,
    ) -> list[Change]:  # fmt: skip
        """See `apply_findings`; `live` is brought up to date."""
        changes: list[Change] = []
        found = {(each.entity, kind, each.feature): each for each in findings}
        whole = {each.entity for each in findings if not each.feature}
        for key in [key for key in live if key[1] == kind and key not in found]:
            why = "all of it is affected now" if key[0] in whole else resolved_why
            changes.append(self._resolve(c, live.pop(key), at, why))
        for key, each in found.items():
            alert = live.get(key)
            if alert is None:
                change = self._save_new(c, each.alert(job, kind, at), at, each.why)
            else:
                change = self._update_from_finding(c, alert, each, at)
            if change is not None:
                live[key] = change.alert
                changes.append(change)
        return changes

    def _update_from_finding(self, c: Connection, alert: Alert, found: Finding, at: int) -> Change | None:
        worse = found.severity == "critical" != alert.severity
        changed = replace(
            alert, updated_ms=at, severity=found.severity, score=found.score, peak=max(alert.peak, found.score),
            summary=found.summary, causes=found.causes or alert.causes,
        )  # fmt: skip
        if replace(changed, updated_ms=alert.updated_ms) == alert:
            return None
        event = "escalated" if worse else "updated"
        self.alerts.save(c, changed, event=event, at_ms=at, who=PLATFORM, why=found.why)
        return Change(event, changed)

    def _resolve(self, c: Connection, alert: Alert, at: int, why: str, peak: float = 0.0) -> Change:
        """Resolve an alert; `peak`: its highest score, which may be of this very pass."""
        highest = max(alert.peak, peak)
        grade = severity(highest, 0.0) if highest > alert.peak and alert.severity != "critical" else alert.severity
        done = replace(
            alert, state="resolved", resolved_ms=at, resolved_by=PLATFORM, updated_ms=at, peak=highest,
            severity=grade,
        )  # fmt: skip
        self.alerts.save(c, done, event="resolved", at_ms=at, who=PLATFORM, why=why)
        return Change("resolved", done)

    def _save_new(self, c: Connection, alert: Alert, at: int, why: str) -> Change | None:
        new = self.alerts.save(c, alert, event="opened", at_ms=at, who=PLATFORM, why=why)
        return Change("opened", alert) if new else None

    def _save_cursors(self, c: Connection, job: Job, scored: ScoredRows, state: State, last_ms: int) -> None:
        """Which entities there are, for people; the scorer's own states are what scoring goes on from."""
        if last_ms - self._noted.get(job.name, 0) < CURSOR_EVERY_MS:
            return
        self._noted[job.name] = last_ms
        panel = scored.panel
        first = int(panel.timestamps.min()) if panel.n_rows else last_ms
        warming = dict(zip(panel.entities, scored.warming[panel.offsets[1:] - 1].tolist(), strict=True))
        rows = [
            {
                "entity": entity, "first_ms": seen or first, "seen_ms": seen, "scored_ms": last_ms,
                "warming": warming.get(entity, False),
            }
            for entity, seen in Policy.last_seen(state).items()
        ]  # fmt: skip
        self.entities.save(c, job.name, rows)


def _rows_with_changes(states: NDArray[np.int8], codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows where an alert opens or resolves, and each entity's last row, where an open one is updated."""
    last = np.r_[codes[1:] != codes[:-1], True]
    rows: NDArray[np.int64] = np.flatnonzero(
        (states == EntityState.OPENED) | (states == EntityState.RESOLVED) | (last & (states != EntityState.CALM))
    )
    return rows
