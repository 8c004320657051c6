"""What people do to alerts: acknowledge, resolve, forget an entity. Each is one transaction on the store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sqlalchemy.engine import Connection

from foreshock.alerts.announce import Announcer, Change
from foreshock.store.store import Alert, Store
from foreshock_models.calibration.state import State
from foreshock_models.errors import StateError, StoreError, allowed

__all__ = ["acknowledge", "end", "forget", "resolve"]


def acknowledge(store: Store, alert_id: str, *, who: str, why: str, now_ms: int, url: str = "") -> Alert:
    """Say that somebody takes care of it.

    Raises
    ------
    StateError
        It is resolved already.
    """
    with store.begin() as c:
        alert = _live(store, c, alert_id)
        done = replace(alert, state="acknowledged", acknowledged_by=who)
        return _write(store, c, Change("acknowledged", done), who, why or "taken care of", now_ms, url)


def resolve(store: Store, alert_id: str, *, who: str, why: str, now_ms: int, url: str = "") -> Alert:
    """End an alert. It stays so while the same episode goes on, unless that becomes critical.

    Raises
    ------
    StateError
        It is resolved already.
    """
    with store.begin() as c:
        return end(
            store, c, _live(store, c, alert_id), who=who, why=why or "resolved by hand", now_ms=now_ms, url=url
        )


def end(store: Store, c: Connection, alert: Alert, *, who: str, why: str, now_ms: int, url: str) -> Alert:
    """As `resolve`, in a transaction at hand."""
    at = max(now_ms, alert.updated_ms)
    done = replace(alert, state="resolved", resolved_by=who, resolved_ms=at, updated_ms=at)
    return _write(store, c, Change("resolved", done), who, why, now_ms, url)


def forget(
    store: Store, job: str, entities: Iterable[str], *, who: str, why: str, now_ms: int, url: str = ""
) -> list[Alert]:
    """Take entities as decommissioned: all that is remembered of them goes, their live alerts are resolved.

    One that sends samples again is a new entity. Gives the alerts that were resolved.

    Raises
    ------
    StoreError
        The job has no such entity.
    """
    gone = list(entities)
    known = [row["entity"] for row in store.entities(job)]
    for entity in gone:
        if entity not in known:
            raise StoreError(f"no entity {entity!r} in the job {job!r}; {allowed(entity, known)}")
    with store.begin() as c:
        scorer = store.scorer(job, c)
        if scorer is not None:
            model, policy = (_without(data, gone) for data in (scorer.model_state, scorer.policy_state))
            revised = replace(scorer, model_state=model, policy_state=policy, revision=scorer.revision + 1)
            store.save_scorer(c, job, revised)
        store.forget(c, job, gone)
        live = [alert for alert in store.live_alerts(job, c).values() if alert.entity in gone]
        reason = why or "decommissioned"
        return [end(store, c, alert, who=who, why=reason, now_ms=now_ms, url=url) for alert in live]


def _live(store: Store, c: Connection, alert_id: str) -> Alert:
    alert = store.alert(alert_id, c)
    if not alert.live:
        raise StateError(f"the alert {alert_id} is resolved already, by {alert.resolved_by or 'foreshock'}")
    return alert


def _write(store: Store, c: Connection, change: Change, who: str, why: str, now_ms: int, url: str) -> Alert:
    store.save_alert(c, change.alert, event=change.event, at_ms=now_ms, who=who, why=why)
    (done,) = Announcer(store, url).announce(c, [change], now_ms)
    return done.alert


def _without(data: bytes, gone: list[str]) -> bytes:
    state = State.from_bytes(data)
    return state.select([name for name in state.entities if name not in gone]).to_bytes()
