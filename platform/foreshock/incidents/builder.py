"""Gathering of alerts into incidents: reads the events of alerts, and writes incidents in the same transaction.

Whatever dies in the middle, events are read again from where the last transaction ended. What the correlator
knows is a copy of what the store has, and is read again when another process, or a person, has changed that.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy.engine import Connection

from foreshock.alerts.model import Alert
from foreshock.alerts.repository import AlertRepository
from foreshock.events.model import DEFAULT_TENANT, Event
from foreshock.events.repository import EventRepository
from foreshock.incidents.call_graphs import CallGraphs
from foreshock.incidents.causes_by_alerts import ranked
from foreshock.incidents.correlation import AlertFacts, CorrelationWindow, Correlator
from foreshock.incidents.model import PLATFORM, Incident, Member, worst
from foreshock.incidents.repository import IncidentRepository
from foreshock.incidents.topology import Topology
from foreshock.store.store import Store
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.prometheus.labels import exported_labels

__all__ = ["CONSUMER", "IncidentBuilder"]

CONSUMER = "incidents"
BATCH = 500
KINDS = ("anomaly", "absent", "predicted")
"""Alerts that become incidents; a notice does not."""
BEGINS = ("opened", "reopened", "unsilenced", "escalated")
ENTITIES = 50
"""Entities that an incident names."""


@dataclass(slots=True)
class _Changed:
    """Changes of one incident by one batch of events."""

    incident: Incident
    new: bool = False
    joined: list[tuple[str, str]] = field(default_factory=list)
    absorbed: list[str] = field(default_factory=list)
    ended: bool = False


class IncidentBuilder:
    """Makes incidents of the alerts of a tenant.

    Parameters
    ----------
    jobs
        Gives the jobs in force.
    graphs
        Gives their call graphs, which are one; default: those of the job files.
    least
        Alerts that an incident needs before people are told, unless it is critical.
    """

    def __init__(
        self,
        store: Store,
        jobs: Callable[[], Mapping[str, Job]],
        *,
        tenant: str = DEFAULT_TENANT,
        policy: CorrelationWindow | None = None,
        least: int = 1,
        graphs: CallGraphs | None = None,
    ) -> None:
        self.store = store
        self.events = EventRepository(store, tenant)
        self.incidents = IncidentRepository(store, tenant)
        self.least = least
        self._jobs = jobs
        self._policy = policy or CorrelationWindow()
        self._call_graphs = graphs or CallGraphs(store, jobs)
        self._graphs: dict[str, dict[str, list[str]]] = {}
        self._correlator = Correlator(policy=self._policy)
        self._at: int | None = None

    def run(self, now_ms: int) -> int:
        """Take in all events that there are; gives how many."""
        done = 0
        while True:
            try:
                taken = self._batch(now_ms)
            except BaseException:
                self._at = None  # the store is as it was; what the correlator knows may not be
                raise
            done += taken
            if taken < BATCH:
                return done

    # -- one transaction -------------------------------------------------------------------------------
    def _batch(self, now_ms: int) -> int:
        with self.store.begin() as c:
            reached = self.events.reached(c, CONSUMER)
            events = self.events.since(reached, ["alert", "incident"], limit=BATCH, connection=c)
            if not events:
                return 0
            by_people = any(e.type == "incident" and e.data["who"] != PLATFORM for e in events)
            if self._at != reached or by_people or self._topology_changed():
                self._restore(c)
            told = [event for event in events if event.type == "alert" and event.data["kind"] in KINDS]
            alerts = self._alerts(c, {event.subject for event in told})
            changed: dict[str, _Changed] = {}
            for event in told:
                if event.subject in alerts:
                    self._take(c, event, alerts[event.subject], changed, now_ms)
            for each in changed.values():
                self._settle(c, each, now_ms)
            self.events.reach(c, CONSUMER, events[-1].seq)
            self._at = events[-1].seq
            return len(events)

    def _take(self, c: Connection, event: Event, alert: Alert, changed: dict[str, _Changed], now_ms: int) -> None:
        what = event.data["event"]
        name = self.incidents.incident_of(alert.id, c)
        if what in BEGINS and alert.silenced_by is None:
            if name is None:
                self._place(c, event, alert, changed, now_ms)
                return
            self._changed(c, name, changed).joined.append((alert.id, what))
        elif name is not None and what in ("resolved", "silenced"):
            self._changed(c, name, changed).ended = True

    def _place(self, c: Connection, event: Event, alert: Alert, changed: dict[str, _Changed], now_ms: int) -> None:
        signal = self._signal(alert)
        made = hashlib.sha256(f"{self.incidents.tenant}\0{alert.id}\0{event.seq}".encode()).hexdigest()[:12]
        placed = self._correlator.place(signal, made)
        if placed.new:
            new = Incident(
                made, "open", alert.severity, alert.summary, now_ms, now_ms, alert.opened_ms, alert.opened_ms
            )
            self.incidents.add(c, new)
            changed[made] = _Changed(new, new=True)
        for name in placed.absorbed:
            self._absorb(c, name, placed.group, changed, now_ms)
        each = self._changed(c, placed.group, changed)
        each.joined.append((alert.id, placed.why))
        self.incidents.join(c, Member(placed.group, alert.id, alert.opened_ms, signal.node, placed.why))

    def _absorb(self, c: Connection, name: str, into: str, changed: dict[str, _Changed], now_ms: int) -> None:
        """Let one incident be a part of another, as the correlator found."""
        other = changed.pop(name, None) or _Changed(self.incidents.get(name, c))
        self.incidents.move(c, [member.alert for member in self.incidents.members([name], c)], into)
        gone = replace(other.incident, state="merged", merged_into=into, updated_ms=now_ms)
        self.incidents.save(c, gone)
        self.incidents.note(c, gone, "merged", PLATFORM, f"an alert belongs to it and to {into}", now_ms, into=into)
        self._changed(c, into, changed).absorbed.append(name)

    def _settle(self, c: Connection, changed: _Changed, now_ms: int) -> None:
        """Bring an incident up to date with its alerts, and write what happened to it."""
        members = self.incidents.members([changed.incident.id], c)
        alerts = self._alerts(c, {member.alert for member in members})
        found = [(member.node, alerts[member.alert]) for member in members if member.alert in alerts]
        incident = _summed_up(changed.incident, found, self._correlator.topology, now_ms)
        live = any(alert.live and alert.silenced_by is None for _, alert in found)
        notes: list[tuple[str, str, dict[str, Any]]] = []
        if changed.new:
            notes.append(("opened", "its first alert opened", {"joined": changed.joined}))
        elif changed.joined or changed.absorbed:
            why = f"{len(changed.joined)} alert(s) joined"
            if changed.absorbed:
                why += f"; {', '.join(changed.absorbed)} merged into it"
            notes.append(("joined", why, {"joined": changed.joined, "absorbed": changed.absorbed}))
        if incident.state == "resolved" and live and changed.joined:
            incident = replace(incident, state="open", resolved_by=None, resolved_ms=None, acknowledged_by=None)
            notes.append(("reopened", "an alert of it opened again, or another one joined", {}))
        if incident.live and incident.paged_ms is None and self._to_be_told(incident):
            incident = replace(incident, paged_ms=now_ms)
            notes.append(("paged", f"{incident.alerts} alert(s), {incident.severity}", {}))
        if incident.live and not live:
            incident = replace(incident, state="resolved", resolved_by=PLATFORM, resolved_ms=now_ms)
            notes.append(("resolved", "all of its alerts are resolved or silenced", {}))
        self.incidents.save(c, incident)
        for what, why, more in notes:
            self.incidents.note(c, incident, what, PLATFORM, why, now_ms, **more)

    def _to_be_told(self, incident: Incident) -> bool:
        return incident.alerts >= self.least or incident.severity == "critical"

    # -- small parts -----------------------------------------------------------------------------------
    def _changed(self, c: Connection, name: str, changed: dict[str, _Changed]) -> _Changed:
        if name not in changed:
            changed[name] = _Changed(self.incidents.get(name, c))
        return changed[name]

    def _alerts(self, c: Connection, ids: Iterable[str]) -> dict[str, Alert]:
        return AlertRepository(self.store).some(c, ids)

    def _signal(self, alert: Alert) -> AlertFacts:
        job = self._jobs().get(alert.job)
        node = alert.labels.get(job.node_label, alert.entity) if job is not None else alert.entity
        causes = {cause["feature"]: float(cause["share"] or 0.0) for cause in alert.causes}
        if not causes:
            causes = {alert.feature or alert.kind: 1.0}
        step = round(job.step_seconds * 1000) if job is not None else 60_000
        return AlertFacts(alert.id, alert.opened_ms, node, alert.job, exported_labels(alert.labels), causes, step)

    def _restore(self, c: Connection) -> None:
        """Read the active incidents from the store."""
        self._graphs = self._present_graphs()
        topology = Topology.union(self._graphs.values())
        self._correlator = Correlator(topology, self._policy)
        oldest = self.incidents.newest_ms(c) - self._policy.longest
        active = {incident.id: incident for incident in self.incidents.active(oldest, c)}
        members = self.incidents.members(list(active), c)
        alerts = self._alerts(c, {member.alert for member in members})
        by_incident: dict[str, list[AlertFacts]] = {}
        for member in members:
            if member.alert in alerts:
                by_incident.setdefault(member.incident, []).append(self._signal(alerts[member.alert]))
        for name, signals in by_incident.items():
            self._correlator.restore(name, signals, apart=active[name].apart)

    def _present_graphs(self) -> dict[str, dict[str, list[str]]]:
        return {name: self._call_graphs.of(job) for name, job in self._jobs().items()}

    def _topology_changed(self) -> bool:
        return self._present_graphs() != self._graphs


def _summed_up(incident: Incident, found: list[tuple[str, Alert]], topology: Topology, now_ms: int) -> Incident:
    """Bring what an incident says of its alerts up to date; its severity never falls while it lasts."""
    if not found:
        return replace(incident, alerts=0, updated_ms=now_ms)
    alerts = [alert for _, alert in found]
    labels = Counter(pair for alert in alerts for pair in exported_labels(alert.labels).items())
    causes = ranked(found, topology)
    entities = list(dict.fromkeys(alert.entity for alert in alerts))
    title = alerts[0].summary if len(alerts) == 1 else _title(causes, alerts, entities)
    return replace(
        incident, alerts=len(alerts), updated_ms=now_ms, causes=causes,
        title=incident.title if incident.named else title,
        severity=worst(incident.severity, *(alert.severity for alert in alerts)),
        first_ms=min(alert.opened_ms for alert in alerts), last_ms=max(alert.opened_ms for alert in alerts),
        jobs=sorted({alert.job for alert in alerts}), entities=entities[:ENTITIES],
        labels={name: value for (name, value), n in labels.items() if n == len(alerts)},
    )  # fmt: skip


def _title(causes: list[dict[str, Any]], alerts: list[Alert], entities: list[str]) -> str:
    """One line: where it probably began, in what, and how far it reaches."""
    metrics = causes[0]["metrics"]
    what = f"{metrics[0]['feature']} of {causes[0]['node']}" if metrics else causes[0]["node"]
    jobs = sorted({alert.job for alert in alerts})
    more = f" and {len(entities) - 1} more" if len(entities) > 1 else ""
    return f"{what}{more} ({', '.join(jobs[:3])}{', ...' if len(jobs) > 3 else ''}): {len(alerts)} alerts"
