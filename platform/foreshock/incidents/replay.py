"""Correlation of alerts that would have fired: the incidents of a backtest, beside known ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import comb
from typing import Any

from foreshock.incidents.correlation import AlertFacts, Correlator, in_order
from foreshock.incidents.topology import Topology
from foreshock_pipelines.backtesting.outcome import ReplayedAlert
from foreshock_pipelines.datasets.entity_key import entity_labels
from foreshock_pipelines.datasets.labels import KnownIncidents
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.prometheus.labels import exported_labels

__all__ = [
    "Agreement",
    "Replay",
    "ReplayedIncident",
    "agreement",
    "correlated",
    "incidents_of",
    "pairwise",
    "replay_incidents",
]


@dataclass(frozen=True, slots=True)
class ReplayedIncident:
    """Alerts that would have been one incident; `why`: the reason for which each joined."""

    opened: datetime
    last: datetime
    nodes: tuple[str, ...]
    alerts: tuple[int, ...]
    why: tuple[str, ...]
    causes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values; `alerts` are places in the list of alerts."""
        return {
            "opened": self.opened.isoformat(),
            "last_alert": self.last.isoformat(),
            "nodes": list(self.nodes),
            "causes": list(self.causes),
            "alerts": list(self.alerts),
            "why": list(self.why),
        }


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement with known incidents, over pairs of alerts: of pairs put together, and of pairs that belong so."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Replay:
    """The incidents of one policy.

    ``pages_saved``: the share of alerts that would not have paged anybody on their own.
    """

    incidents: list[ReplayedIncident] = field(default_factory=list)
    pages_saved: float = 0.0
    agreement: Agreement | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        agreed = self.agreement
        return {
            "count": len(self.incidents),
            "pages_saved": round(self.pages_saved, 4),
            "pairwise": None if agreed is None else {name: getattr(agreed, name) for name in Agreement.__slots__},
            "incidents": [incident.as_dict() for incident in self.incidents],
        }


def replay_incidents(job: Job, alerts: Sequence[ReplayedAlert], known: KnownIncidents | None = None) -> Replay:
    """Place alerts into incidents as the platform does, one after the other.

    Parameters
    ----------
    known
        Entity to its known anomalies, each with the incident that it belongs to. An alert outside of them is an
        incident of its own.
    """
    calls = job.topology.calls if job.topology is not None else {}
    placed = correlated([_signal(job, n, alert) for n, alert in enumerate(alerts)], Topology(calls))
    incidents = incidents_of(job, alerts, placed)
    saved = 1 - len(incidents) / len(alerts) if alerts else 0.0
    if not known:
        return Replay(incidents, saved)
    truth = {str(n): _known_incident(alert, known) or f"alone {n}" for n, alert in enumerate(alerts)}
    return Replay(incidents, saved, agreement(truth, {name: group for name, (group, _) in placed.items()}))


def correlated(signals: Sequence[AlertFacts], topology: Topology) -> dict[str, tuple[str, str]]:
    """Give each alert its incident, and the reason, in the order of time."""
    correlator = Correlator(topology)
    parents: dict[str, str] = {}
    placed: dict[str, tuple[str, str]] = {}
    for signal in in_order(signals):
        correlator.expire(signal.at_ms)
        found = correlator.place(signal, signal.id)
        placed[signal.id] = (found.group, found.why)
        parents.update(dict.fromkeys(found.absorbed, found.group))

    def last(name: str) -> str:
        while name in parents:
            name = parents[name]
        return name

    return {name: (last(group), why) for name, (group, why) in placed.items()}


def incidents_of(
    job: Job, alerts: Sequence[ReplayedAlert], placed: Mapping[str, tuple[str, str]]
) -> list[ReplayedIncident]:
    """Gather alerts by their incident, in the order of the first alert of each."""
    groups: dict[str, list[int]] = {}
    for n in range(len(alerts)):
        groups.setdefault(placed[str(n)][0], []).append(n)
    found = []
    for members in groups.values():
        members.sort(key=lambda n: (alerts[n].opened, n))
        features = Counter(cause.feature for n in members for cause in alerts[n].causes[:1])
        found.append(
            ReplayedIncident(
                alerts[members[0]].opened,
                alerts[members[-1]].opened,
                tuple(dict.fromkeys(_node(job, alerts[n]) for n in members)),
                tuple(members),
                tuple(placed[str(n)][1] for n in members),
                tuple(name for name, _ in features.most_common(3)),
            )
        )
    return sorted(found, key=lambda incident: incident.opened)


def agreement(truth: Mapping[str, str], placed: Mapping[str, str]) -> Agreement:
    """Compare incidents with known ones: `truth` and `placed` give the incident of each alert.

    Where no pair was put together, none was so wrongly; where none belongs together, none was missed.
    """
    both = pairwise((truth[name], placed[name]) for name in truth)
    together, belong = pairwise(placed[name] for name in truth), pairwise(truth.values())
    precision = both / together if together else 1.0
    recall = both / belong if belong else 1.0
    return Agreement(precision, recall, 2 * precision * recall / max(1e-9, precision + recall))


def pairwise(groups: Iterable[Any]) -> int:
    """Count the pairs that are in one group."""
    return sum(comb(n, 2) for n in Counter(groups).values())


def _signal(job: Job, number: int, alert: ReplayedAlert) -> AlertFacts:
    labels = exported_labels(entity_labels(alert.entity, job.entity))
    causes = {cause.feature: float(cause.share or 0.0) for cause in alert.causes}
    at_ms = round(alert.opened.timestamp() * 1000)
    step_ms = round(job.step_seconds * 1000)
    return AlertFacts(str(number), at_ms, _node(job, alert), job.name, labels, causes, step_ms)


def _node(job: Job, alert: ReplayedAlert) -> str:
    return entity_labels(alert.entity, job.entity)[job.node_label]


def _known_incident(alert: ReplayedAlert, known: KnownIncidents) -> str | None:
    """The known incident that an alert belongs to: the latest that had begun when it was open."""
    over = alert.resolved or datetime.max.replace(tzinfo=UTC)
    hits = [
        (first, name) for first, last, name in known.get(alert.entity, ()) if alert.opened <= last and over >= first
    ]
    return max((hit for hit in hits if hit[0] <= alert.opened), default=min(hits, default=(None, None)))[1]
