"""Root causes from the metrics around an incident: `foreshock_models.rootcause` on windows of the job's source.

The first ranking of an incident comes from its alerts alone. This one also sees nodes that have not alerted, and
what is usual for each metric; where it abstains, the first one stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock.alerts.model import Alert
from foreshock.alerts.repository import AlertRepository
from foreshock.events.model import DEFAULT_TENANT
from foreshock.incidents.call_graphs import CallGraphs
from foreshock.incidents.model import PLATFORM, Incident
from foreshock.incidents.repository import IncidentRepository
from foreshock.incidents.topology import Topology
from foreshock.logs import get_logger
from foreshock.store.store import Store
from foreshock_models.errors import ForeshockError
from foreshock_models.rootcause import Metric, RootCause, rank_causes
from foreshock_pipelines.datasets.windows import Windows
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.sources import open_source

__all__ = ["CauseRanker", "ranked_by_metrics"]

log = get_logger("incidents")
EVERY_MS = 5_000
QUIET = timedelta(hours=6)
"""So much before an incident says what is usual."""
BEFORE, AFTER = 12, 8
"""Rows around the onset."""
MOST_ENTITIES = 500
"""A larger job is ranked by its alerts alone: reading all of it takes too long."""
MOST = 5
EARLIER = (8, 6, 4, 2)
"""Rows before the onset of the first alert at which the cause may have begun, the earliest first."""
STRONG = 3.0
"""Departure, in units of the metric, that is an onset."""


def ranked_by_metrics(
    job: Job,
    windows: Windows,
    first_ms: int,
    symptom: tuple[str, str] | None,
    calls: Mapping[str, Sequence[str]] | None = None,
) -> list[dict[str, Any]]:
    """Rank the nodes of a job by their metrics around a time; empty if it abstains.

    Parameters
    ----------
    first_ms
        Time of the first alert.
    symptom
        Node and feature that people noticed; with a call graph, causes are looked for below it.
    calls
        The call graph; default: that of the job file.
    """
    table = windows.to_pandas()
    frame = table.pivot_table(index="timestamp", columns=job.node_label, values=list(job.features), observed=True)
    times = frame.index.astype("int64") // (10**6 if frame.index.dtype == "datetime64[ns, UTC]" else 1)
    onset = int(np.searchsorted(times, first_ms))
    onset = max(0, onset - job.alerts.for_.needed)  # an alert opens after so many rows
    if onset < 2 * BEFORE + EARLIER[0] or onset >= len(frame):
        return []
    metrics = [Metric(str(column[1]), str(column[0])) for column in frame.columns.to_list()]
    values = frame.to_numpy(np.float64)
    if calls is None and job.topology is not None:
        calls = job.topology.calls
    asked = Metric(*symptom) if symptom is not None and calls else None
    found = _at(values, metrics, onset, asked, calls)
    below = {cause.node for cause in found}
    kept = [j for j, m in enumerate(metrics) if m.node in below and (asked is None or m.kind == asked.kind)]
    for back in EARLIER if found else ():  # a fault that took its time had begun before the first alert
        earlier = _at(values[:, kept], [metrics[j] for j in kept], onset - back, None, None)
        if earlier and earlier[0].departure >= STRONG:
            found = earlier
            break
    return [_told(cause) for cause in found[:MOST] if cause.departure >= 1]


def _at(
    values: NDArray[np.float64], metrics: list[Metric], onset: int, symptom: Metric | None, calls: Any
) -> list[RootCause]:
    rows, quiet = values[onset - BEFORE : onset + AFTER], values[: onset - BEFORE]
    return rank_causes(rows, metrics, BEFORE, quiet, symptom=symptom, calls=calls if symptom else None)


@dataclass
class CauseRanker:
    """Ranks the causes of live incidents again, from metrics; see `IncidentBuilder`."""

    store: Store
    jobs: Callable[[], Mapping[str, Job]]
    graphs: CallGraphs
    tenant: str = DEFAULT_TENANT
    _done: dict[str, int] = field(default_factory=dict)
    _next_ms: int = 0

    def run(self, now_ms: int) -> int:
        """Rank incidents that have new alerts; gives how many have other causes since."""
        if self._next_ms - EVERY_MS <= now_ms < self._next_ms:
            return 0
        self._next_ms = now_ms + EVERY_MS
        incidents = IncidentRepository(self.store, self.tenant)
        live = incidents.list(state="live", limit=50).incidents
        self._done = {one.id: self._done[one.id] for one in live if one.id in self._done}
        changed = 0
        for incident in live:
            if incident.alerts and self._done.get(incident.id) != incident.alerts:
                self._done[incident.id] = incident.alerts
                try:
                    changed += self._rank(incidents, incident, now_ms)
                except ForeshockError as exc:  # the ranking by alerts stays
                    log.warning("causes are ranked by alerts alone", incident=incident.id, error=str(exc))
        return changed

    def _rank(self, incidents: IncidentRepository, incident: Incident, now_ms: int) -> bool:
        job = self.jobs().get(incident.jobs[0]) if len(incident.jobs) == 1 else None
        if job is None:
            return False
        source = open_source(job)
        if sum(source.discover().values()) > MOST_ENTITIES * len(job.features):
            return False
        first = datetime.fromtimestamp(incident.first_ms / 1000, UTC)
        windows = source.read(first - QUIET, first + AFTER * job.step)
        symptom = self._symptom(incidents, incident, job)
        causes = ranked_by_metrics(job, windows, incident.first_ms, symptom, self.graphs.of(job))
        if not causes:
            return False
        with self.store.begin() as c:
            now = incidents.get(incident.id, c)
            if not now.live or now.alerts != incident.alerts:
                return False
            done = replace(now, causes=causes)
            incidents.save(c, done)
            why = f"from metrics: {causes[0]['reason']}"
            incidents.note(c, done, "ranked", PLATFORM, why[:1000], now_ms)
        return True

    def _symptom(self, incidents: IncidentRepository, incident: Incident, job: Job) -> tuple[str, str] | None:
        """The alert nearest to users: that of a node that no other alerting node depends on."""
        members = incidents.members([incident.id])
        with self.store.begin() as c:
            alerts = AlertRepository(self.store).some(c, [member.alert for member in members])
        topology = Topology(self.graphs.of(job))
        nodes = {member.node: alerts[member.alert] for member in members if member.alert in alerts}
        top = [node for node in nodes if not topology.callers.get(node, set()) & set(nodes)] or list(nodes)
        return (top[0], _feature(nodes[top[0]])) if top and _feature(nodes[top[0]]) else None


def _feature(alert: Alert) -> str:
    return str(alert.causes[0]["feature"]) if alert.causes else alert.feature


def _told(cause: RootCause) -> dict[str, Any]:
    metrics = [
        {
            "feature": str(each.metric), "observed": each.after, "expected": each.before,
            "departure": each.departure, "share": None,
        }
        for each in cause.evidence
    ]  # fmt: skip
    return {"node": cause.node, "reason": cause.reason, "metrics": metrics, "by": "metrics"}
