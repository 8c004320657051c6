"""Use cases of alerts: acknowledge, resolve. Each is one transaction on the store."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy.engine import Connection

from foreshock.alerts.model import Alert
from foreshock.alerts.publisher import AlertPublisher, Change
from foreshock.alerts.repository import AlertRepository
from foreshock.audit import record
from foreshock.store.store import Store
from foreshock_models.errors import StateError

__all__ = ["AlertResolver", "acknowledge", "resolve"]


def acknowledge(store: Store, alert_id: str, *, who: str, why: str, now_ms: int, url: str = "") -> Alert:
    """Say that somebody takes care of it.

    Raises
    ------
    StateError
        It is resolved already.
    """
    publisher = AlertPublisher(store, url)
    silences = publisher.unexpired_silences(AlertRepository(store).get(alert_id).updated_ms)
    with store.begin() as c:
        alert = _live(store, c, alert_id)
        done = replace(alert, state="acknowledged", acknowledged_by=who)
        AlertRepository(store).save(
            c, done, event="acknowledged", at_ms=now_ms, who=who, why=why or "taken care of"
        )
        record(store, c, "alerts:acknowledge", alert_id, who=who, why=why)
        return publisher.publish(c, [Change("acknowledged", done)], silences, now_ms)[0].alert


def resolve(store: Store, alert_id: str, *, who: str, why: str, now_ms: int, url: str = "") -> Alert:
    """End an alert. It stays so while the same episode goes on, unless that becomes critical.

    Raises
    ------
    StateError
        It is resolved already.
    """
    resolver = AlertResolver(store, who, now_ms, url)
    with store.begin() as c:
        ended = resolver.resolve(c, _live(store, c, alert_id), why or "resolved by hand")
        record(store, c, "alerts:resolve", alert_id, who=who, why=why)
        return ended


class AlertResolver:
    """Resolves alerts within a transaction; make it before that begins: silences are read here."""

    def __init__(self, store: Store, who: str, now_ms: int, url: str) -> None:
        self._store, self._who, self._now_ms = store, who, now_ms
        self._publisher = AlertPublisher(store, url)
        self._silences = self._publisher.unexpired_silences(now_ms)

    def resolve(self, c: Connection, alert: Alert, why: str) -> Alert:
        """Resolve a live alert."""
        at = max(self._now_ms, alert.updated_ms)
        done = replace(alert, state="resolved", resolved_by=self._who, resolved_ms=at, updated_ms=at)
        AlertRepository(self._store).save(c, done, event="resolved", at_ms=self._now_ms, who=self._who, why=why)
        return self._publisher.publish(c, [Change("resolved", done)], self._silences, self._now_ms)[0].alert


def _live(store: Store, c: Connection, alert_id: str) -> Alert:
    alert = AlertRepository(store).get(alert_id, c)
    if not alert.live:
        raise StateError(f"the alert {alert_id} is resolved already, by {alert.resolved_by or 'foreshock'}")
    return alert
