"""Delivery of alerts: the outbox is emptied, live alerts are sent again, what is given up is in their history."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy.engine import Connection

from foreshock.alerts.repeat import alerts_to_repeat
from foreshock.alerts.repository import AlertRepository
from foreshock.notify.deliverer import Deliverer
from foreshock.store.store import Store
from foreshock_pipelines.jobfile import Job

__all__ = ["alert_deliverer"]


def alert_deliverer(store: Store, jobs: Iterable[Job], *, url: str = "", **options: Any) -> Deliverer:
    """Make the deliverer of the alerts of jobs.

    Parameters
    ----------
    url
        Base of the links in alerts.
    options
        See `Deliverer`.
    """
    alerts = AlertRepository(store)

    def live(job: str, now_ms: int) -> list[dict[str, Any]]:
        return alerts_to_repeat(store, job, url, now_ms)

    def record(c: Connection, alert: str, event: str, why: str, at_ms: int) -> None:
        alerts.add_history(alert, event, who="foreshock", why=why, at_ms=at_ms, c=c)

    return Deliverer(store, jobs, live=live, record=record, **options)
