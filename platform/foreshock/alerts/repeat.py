"""Alerts that are sent again to receivers that forget what they do not hear of."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from foreshock.alerts.payload import alert_payload
from foreshock.alerts.repository import AlertRepository
from foreshock.silences.index import SilenceIndex
from foreshock.silences.repository import SilenceRepository
from foreshock.store.store import Store

__all__ = ["REPEATED", "alerts_to_repeat"]

REPEATED = "repeated"
"""Event of a payload that tells nothing new."""
RESOLVED_FOR_MS = round(timedelta(minutes=15).total_seconds() * 1000)
"""So long the end of an alert is sent again, as Prometheus does it: a receiver may have been away at that time."""


def alerts_to_repeat(store: Store, job: str, url: str, now_ms: int) -> list[dict[str, Any]]:
    """Payloads of the alerts of a job that receivers know of, live or resolved a short time ago.

    Live ones that a silence holds back are not among them: at the receiver they end by themselves.
    """
    silences = SilenceIndex(SilenceRepository(store).unexpired(now_ms))
    return [
        alert_payload(alert, REPEATED, url)
        for alert in AlertRepository(store).announced(job, now_ms - RESOLVED_FOR_MS)
        if not alert.live or (alert.silenced_by is None and silences.silence_of(alert, now_ms) is None)
    ]
