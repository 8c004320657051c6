"""Incidents of one tenant, and their alerts, in the store."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from foreshock.events.model import Event
from foreshock.events.repository import EventRepository
from foreshock.incidents.model import SEVERITIES, STATES, Incident, Member, Page
from foreshock.store import tables as t
from foreshock.store.scope import current_tenant
from foreshock.store.store import Store
from foreshock_models.errors import StoreError, allowed

__all__ = ["IncidentRepository"]

FIELDS = tuple(name for name in Incident.__slots__ if name != "seq")
COLUMNS = [t.incidents.c[name] for name in Incident.__slots__]


@dataclass(frozen=True, slots=True)
class IncidentRepository:
    """Incidents of a tenant."""

    store: Store
    tenant: str = field(default_factory=current_tenant)

    def get(self, incident: str, connection: Connection | None = None) -> Incident:
        """One incident; read in a transaction, no other process changes it before that ends.

        Raises
        ------
        StoreError
            None of that id.
        """
        i = t.incidents.c
        query = sa.select(*COLUMNS).where(i.tenant == self.tenant, i.id == incident)
        if connection is not None:
            query = query.with_for_update()
        with self.store.use(connection) as c:
            row = c.execute(query).mappings().one_or_none()
        if row is None:
            raise StoreError(f"no incident {incident!r}; see: foreshock incidents list")
        return Incident(**row)

    def list(
        self,
        *,
        state: str | None = None,
        severity: str | None = None,
        job: str | None = None,
        assignee: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> Page:
        """Incidents, the newest first; see `AlertRepository.list`."""
        i = t.incidents.c
        query = sa.select(*COLUMNS).where(i.tenant == self.tenant).order_by(i.seq.desc()).limit(limit + 1)
        for word, value, words in (("state", state, [*STATES, "live"]), ("severity", severity, SEVERITIES)):
            if value is not None and value not in words:
                raise StoreError(f"no {word} {value!r}; {allowed(value, words)}")
        if state is not None:
            query = query.where(t.LIVE_ROWS if state == "live" else i.state == state)
        for column, value in ((i.severity, severity), (i.assignee, assignee)):
            if value is not None:
                query = query.where(column == value)
        if job is not None:
            m, a = t.members.c, t.alerts.c
            of_job = sa.select(m.incident).join(t.alerts, a.id == m.alert)
            query = query.where(i.id.in_(of_job.where(m.tenant == self.tenant, a.job == job)))
        if before is not None:
            query = query.where(i.seq < before)
        with self.store.begin() as c:
            found = [Incident(**row) for row in c.execute(query).mappings()]
        more = len(found) > limit
        return Page(found[:limit], found[limit - 1].seq if more else None)

    def active(self, since_ms: int, connection: Connection) -> builtins.list[Incident]:
        """Incidents that alerts may still join: not ended by a person, their last alert not before a time."""
        i = t.incidents.c
        ended = sa.and_(i.state == "resolved", i.resolved_by == "foreshock")
        query = sa.select(*COLUMNS).where(i.tenant == self.tenant, i.last_ms >= since_ms)
        query = query.where(sa.or_(t.LIVE_ROWS, ended)).order_by(i.seq)
        return [Incident(**row) for row in connection.execute(query).mappings()]

    def newest_ms(self, connection: Connection) -> int:
        """Time of the last alert of all incidents; 0 if there is none."""
        i = t.incidents.c
        query = sa.select(sa.func.max(i.last_ms)).where(i.tenant == self.tenant)
        return int(connection.execute(query).scalar() or 0)

    def add(self, c: Connection, incident: Incident) -> None:
        values = {name: getattr(incident, name) for name in FIELDS}
        c.execute(sa.insert(t.incidents).values(tenant=self.tenant, **values))

    def save(self, c: Connection, incident: Incident) -> None:
        i = t.incidents.c
        values = {name: getattr(incident, name) for name in FIELDS}
        c.execute(sa.update(t.incidents).where(i.tenant == self.tenant, i.id == incident.id).values(values))

    def note(
        self, c: Connection, incident: Incident, event: str, who: str, why: str, at_ms: int, **more: Any
    ) -> int:
        """Write what happened to an incident as an event: its timeline is made of them."""
        told = ("state", "severity", "title", "alerts", "assignee", "kind")
        data = {"event": event, "who": who, "why": why, **{name: getattr(incident, name) for name in told}, **more}
        return EventRepository(self.store, self.tenant).append(c, "incident", incident.id, data, at_ms)

    def timeline(self, incident: str, limit: int = 1000) -> builtins.list[Event]:
        """Events of an incident, in order."""
        return EventRepository(self.store, self.tenant).since(0, ["incident"], subject=incident, limit=limit)

    # -- alerts of incidents ---------------------------------------------------------------------------
    def members(self, incidents: Sequence[str], connection: Connection | None = None) -> builtins.list[Member]:
        """Alerts of some incidents, in the order of time."""
        m = t.members.c
        query = sa.select(m.incident, m.alert, m.at_ms, m.node, m.why)
        query = query.where(m.tenant == self.tenant, m.incident.in_(incidents)).order_by(m.at_ms, m.alert)
        with self.store.use(connection) as c:
            return [Member(*row) for row in c.execute(query)]

    def incident_of(self, alert: str, connection: Connection | None = None) -> str | None:
        m = t.members.c
        query = sa.select(m.incident).where(m.tenant == self.tenant, m.alert == alert)
        with self.store.use(connection) as c:
            found: str | None = c.execute(query).scalar_one_or_none()
        return found

    def join(self, c: Connection, member: Member) -> None:
        """Put an alert into an incident; it leaves the one that it was in."""
        values = {"incident": member.incident, "at_ms": member.at_ms, "node": member.node, "why": member.why}
        insert = self.store.insert(t.members).values(tenant=self.tenant, alert=member.alert, **values)
        c.execute(insert.on_conflict_do_update(index_elements=["tenant", "alert"], set_=values))

    def move(self, c: Connection, alerts: Iterable[str], to: str) -> None:
        m = t.members.c
        update = sa.update(t.members).where(m.tenant == self.tenant, m.alert.in_(list(alerts)))
        c.execute(update.values(incident=to))

    def live_alerts(self, c: Connection, incident: str) -> int:
        """Count the alerts of an incident that are not resolved."""
        m = t.members.c
        query = sa.select(sa.func.count()).select_from(t.members.join(t.alerts, t.alerts.c.id == m.alert))
        return int(
            c.execute(query.where(m.tenant == self.tenant, m.incident == incident, t.LIVE_ROWS)).scalar_one()
        )
