"""The outcome of a policy in a backtest: the alerts that would have fired, and their match with labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from foreshock_models.panel import Panel
from foreshock_models.policy import EntityState
from foreshock_pipelines.backtesting.replay import ReplayedRows
from foreshock_pipelines.datasets.labels import Intervals
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.scoring.alert_policy import alert_policy
from foreshock_pipelines.scoring.causes import Cause

__all__ = ["Outcome", "ReplayedAlert", "outcome_json", "outcome_of"]


@dataclass(frozen=True)
class ReplayedAlert:
    """An alert that would have fired; ``resolved`` is None if it was still open at the end."""

    entity: str
    opened: datetime
    resolved: datetime | None
    score: float
    causes: list[Cause]
    known: bool | None = None
    """True if a label explains it; None without labels."""


@dataclass(frozen=True)
class Outcome:
    """The alerts of one policy; the last three fields are None without labels.

    ``precision``: share of alerts that a label explains. ``recall``: share of labels that an alert found.
    ``delay``: median from the start of a label to its first alert.
    """

    name: str
    votes: str
    budget: str
    alerts: list[ReplayedAlert]
    per_day: float
    per_entity_week: float
    precision: float | None = None
    recall: float | None = None
    delay: timedelta | None = None

    @property
    def by_entity(self) -> dict[str, list[ReplayedAlert]]:
        found: dict[str, list[ReplayedAlert]] = {}
        for alert in self.alerts:
            found.setdefault(alert.entity, []).append(alert)
        return found


def outcome_of(
    name: str,
    job: Job,
    parts: Sequence[ReplayedRows],
    shown: Panel,
    start: datetime,
    end: datetime,
    labels: Intervals | None,
) -> Outcome:
    alerts = sorted(_alerts(parts), key=lambda alert: (alert.opened, alert.entity))
    days = (end - start) / timedelta(days=1)
    policy = alert_policy(job)
    outcome = Outcome(
        name, f"{policy.needed} of {policy.of}", str(job.budget), alerts, len(alerts) / days,
        len(alerts) / max(shown.n_entities, 1) / days * 7,
    )  # fmt: skip
    return outcome if labels is None else _with_labels(outcome, labels, shown, start, end, policy.resolve_after)


def _alerts(parts: Sequence[ReplayedRows]) -> Iterator[ReplayedAlert]:
    """Yield the alerts of consecutive stretches; one that spans a refit is one alert."""
    open_: dict[str, ReplayedAlert] = {}
    for part in parts:
        for entity, rows in part.panel:
            for row in (np.flatnonzero(part.policy.entity_state[rows] >= EntityState.OPENED) + rows.start).tolist():
                state, peak = part.policy.entity_state[row], float(part.policy.peak[row])
                at = datetime.fromtimestamp(int(part.panel.timestamps[row]) / 1000, UTC)
                if state == EntityState.OPENED:
                    causes = part.causes.at(entity, int(part.panel.timestamps[row]))
                    open_[entity] = ReplayedAlert(entity, at, None, peak, causes)
                elif entity in open_:
                    open_[entity] = replace(open_[entity], score=max(open_[entity].score, peak))
                    if state == EntityState.RESOLVED:
                        yield replace(open_.pop(entity), resolved=at)
    yield from open_.values()


def _with_labels(
    outcome: Outcome, labels: Intervals, shown: Panel, start: datetime, end: datetime, resolve_after: float
) -> Outcome:
    """Add precision, recall and delay: an alert matches a label if it is open within it."""
    delays: list[timedelta] = []
    n_labels = 0
    for entity in shown.entities:
        for first, last in labels.get(entity, ()):
            if last < start or first > end:
                continue
            n_labels += 1
            hits = [a.opened for a in outcome.by_entity.get(entity, []) if _meets(a, first, last, end)]
            if hits:
                delays.append(max(min(hits) - first, timedelta(0)))
    alerts = [
        replace(a, known=any(_meets(a, first, last, end) for first, last in labels.get(a.entity, ())))
        for a in outcome.alerts
    ]
    return replace(
        outcome,
        alerts=alerts,
        precision=sum(bool(a.known) for a in alerts) / len(alerts) if alerts else None,
        recall=len(delays) / n_labels if n_labels else None,
        delay=sorted(delays)[len(delays) // 2] if delays else None,
    )


def _meets(alert: ReplayedAlert, first: datetime, last: datetime, end: datetime) -> bool:
    return alert.opened <= last and (alert.resolved or end) >= first


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "name": outcome.name,
        "for": outcome.votes,
        "false_alerts": outcome.budget,
        "alerts_per_day": round(outcome.per_day, 4),
        "alerts_per_entity_and_week": round(outcome.per_entity_week, 4),
        "by_entity": {entity: len(alerts) for entity, alerts in sorted(outcome.by_entity.items())},
        "precision": outcome.precision,
        "recall": outcome.recall,
        "median_delay_seconds": outcome.delay.total_seconds() if outcome.delay is not None else None,
        "alerts": [
            {
                "entity": a.entity,
                "opened": a.opened.isoformat(),
                "resolved": a.resolved.isoformat() if a.resolved else None,
                "score": round(a.score, 4),
                "known": a.known,
                "causes": [asdict(cause) for cause in a.causes],
            }
            for a in outcome.alerts
        ],
    }
