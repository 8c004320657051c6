"""Alerts and their history in the store."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from foreshock.alerts.model import KINDS, SEVERITIES, STATES, Alert, AlertKey, Page
from foreshock.events.repository import EventRepository
from foreshock.store import tables as t
from foreshock.store.store import Store
from foreshock_models.errors import StoreError, allowed

__all__ = ["AlertRepository"]

PAGE = 500
"""Alerts in one read of many."""


@dataclass(frozen=True, slots=True)
class AlertRepository:
    """Alerts in the store."""

    store: Store

    def get(self, alert_id: str, connection: Connection | None = None) -> Alert:
        """One alert; read in a transaction, no other process changes it before that ends.

        Raises
        ------
        StoreError
            None of that id.
        """
        query = sa.select(*t.fields(t.alerts)).where(t.alerts.c.id == alert_id)
        if connection is not None:
            query = query.with_for_update()
        with self.store.use(connection) as c:
            row = c.execute(query).mappings().one_or_none()
        if row is None:
            raise StoreError(f"no alert {alert_id!r}; see: foreshock alerts list")
        return Alert(**row)

    def list(
        self,
        *,
        job: str | None = None,
        entity: str | None = None,
        state: str | None = None,
        kind: str | None = None,
        severity: str | None = None,
        since_ms: int | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> Page:
        """Alerts, the newest first.

        Parameters
        ----------
        state
            A state, or ``live`` for open and acknowledged ones.
        since_ms
            Those that changed then or later.
        before
            `next` of the page before.
        """
        a = t.alerts.c
        query = sa.select(*t.fields(t.alerts)).order_by(a.seq.desc()).limit(limit + 1)
        if state is not None:
            if state not in (*STATES, "live"):
                raise StoreError(f"no state {state!r}; {allowed(state, [*STATES, 'live'])}")
            query = query.where(t.LIVE_ROWS if state == "live" else a.state == state)
        for word, value, words in (("kind", kind, KINDS), ("severity", severity, SEVERITIES)):
            if value is not None and value not in words:
                raise StoreError(f"no {word} {value!r}; {allowed(value, words)}")
        for column, value in ((a.job, job), (a.entity, entity), (a.kind, kind), (a.severity, severity)):
            if value is not None:
                query = query.where(column == value)
        if since_ms is not None:
            lately = a.updated_ms >= since_ms
            if self.store.engine.dialect.name == "sqlite":  # it would read all of them for the order
                lately = a.seq.in_(sa.select(a.seq).where(lately))
            query = query.where(lately)
        if before is not None:
            query = query.where(a.seq < before)
        with self.store.begin() as c:
            found = [Alert(**row) for row in c.execute(query).mappings()]
        more = len(found) > limit
        return Page(found[:limit], found[limit - 1].seq if more else None)

    def live(self, job: str, connection: Connection | None = None) -> dict[AlertKey, Alert]:
        """Open and acknowledged alerts of a job by entity, kind and feature.

        Read in a transaction, they are locked: what a person does at the same time comes before or after it.
        """
        query = sa.select(*t.fields(t.alerts)).where(t.alerts.c.job == job, t.LIVE_ROWS).order_by(t.alerts.c.seq)
        if connection is not None:
            query = query.with_for_update()
        with self.store.use(connection) as c:
            found = [Alert(**row) for row in c.execute(query).mappings()]
        return {alert.key: alert for alert in found}

    def announced(self, job: str, since_ms: int) -> Iterator[Alert]:
        """Alerts of a job that receivers know of: the live ones, and those resolved at `since_ms` or later.

        They are read in pages, so that no writer waits long.
        """
        a = t.alerts.c
        known = sa.select(*t.fields(t.alerts)).where(a.job == job, a.announced == sa.true(), a.kind != "notice")
        for query in (known.where(t.LIVE_ROWS), known.where(a.resolved_ms >= since_ms, a.state == "resolved")):
            after = 0
            while True:
                with self.store.begin() as c:
                    page = c.execute(query.where(a.seq > after).order_by(a.seq).limit(PAGE)).mappings().all()
                yield from (Alert(**row) for row in page)
                if len(page) < PAGE:
                    break
                after = page[-1]["seq"]

    def some(self, c: Connection, ids: Iterable[str]) -> dict[str, Alert]:
        """Alerts by their ids; those that are gone are left out."""
        wanted, found = sorted(ids), {}
        for start in range(0, len(wanted), PAGE):
            query = sa.select(*t.fields(t.alerts)).where(t.alerts.c.id.in_(wanted[start : start + PAGE]))
            found.update({row["id"]: Alert(**row) for row in c.execute(query).mappings()})
        return found

    def last_resolved(self, c: Connection, job: str, entity: str, kind: str, feature: str = "") -> Alert | None:
        a = t.alerts.c
        query = (
            sa.select(*t.fields(t.alerts))
            .where(a.job == job, a.entity == entity, a.kind == kind, a.feature == feature, a.state == "resolved")
            .order_by(a.seq.desc())
            .limit(1)
        )
        row = c.execute(query).mappings().one_or_none()
        return Alert(**row) if row else None

    def save(self, c: Connection, alert: Alert, *, event: str, at_ms: int, who: str, why: str) -> bool:
        """Write an alert with a line of its history.

        False, and nothing is written, if `event` opens it and it, or a live one of its key, is there already.
        """
        values = {name: getattr(alert, name) for name in Alert.__slots__ if name != "seq"}
        if event == "opened":
            insert = self.store.insert(t.alerts).values(**values).on_conflict_do_nothing()
            if c.execute(insert.returning(t.alerts.c.id)).first() is None:
                return False
        else:
            c.execute(sa.update(t.alerts).where(t.alerts.c.id == alert.id).values(**values))
        if event != "updated":
            self.note(c, alert, event, at_ms=at_ms, who=who, why=why)
        return True

    def note(self, c: Connection, alert: Alert, event: str, *, at_ms: int, who: str, why: str) -> None:
        """Write what happened to an alert into its history, and as an event."""
        self.add_history(alert.id, event, who=who, why=why, at_ms=at_ms, c=c)
        told = ("job", "entity", "labels", "kind", "feature", "state", "severity", "summary", "opened_ms")
        data = {"event": event, "who": who, "why": why, **{name: getattr(alert, name) for name in told}}
        EventRepository(self.store).append(c, "alert", alert.id, data, at_ms)

    def save_announcement(self, c: Connection, alert: Alert) -> None:
        """Write whether receivers know of an alert, and what silences it."""
        values = {"silenced_by": alert.silenced_by, "announced": alert.announced}
        c.execute(sa.update(t.alerts).where(t.alerts.c.id == alert.id).values(**values))

    def add_history(self, alert_id: str, event: str, *, who: str, why: str, at_ms: int, c: Connection) -> None:
        """Add a line to an alert's history."""
        c.execute(sa.insert(t.history).values(alert=alert_id, at_ms=at_ms, event=event, who=who, why=why))

    def history(self, alert_id: str) -> builtins.list[dict[str, Any]]:
        query = sa.select(t.history).where(t.history.c.alert == alert_id).order_by(t.history.c.seq)
        with self.store.begin() as c:
            return [dict(row) for row in c.execute(query).mappings()]
