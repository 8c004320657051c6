"""Prometheus Alertmanager, API v2, spoken to as Prometheus does it.

An alert is firing until its ``endsAt``. For a live one that is a few minutes ahead, and it is sent again every
minute: neither a restart of Alertmanager nor the end of Foreshock leaves a wrong state.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from foreshock.notify.posting import JsonPoster
from foreshock_models.errors import NotificationRefused
from foreshock_pipelines.jobfile import NotifierConfig
from foreshock_pipelines.prometheus.labels import exported_labels, legacy_names

__all__ = ["Alertmanager", "as_alertmanager"]

REPEAT_EVERY = timedelta(minutes=1)
VALID_FOR = 4 * REPEAT_EVERY
"""Three repetitions may fail before an alert ends by itself."""
CAUSES = 10
"""Causes that are named in annotations, the largest first."""


class Alertmanager:
    """An alert becomes one of Alertmanager's, told apart by its labels; what drove it is in annotations.

    Attributes
    ----------
    batch : alerts in one request; Prometheus sends as many
    repeat_every : seconds
    """

    batch = 256
    repeat_every = REPEAT_EVERY.total_seconds()

    def __init__(self, config: NotifierConfig, clock: Callable[[], float] = time.time) -> None:
        self.poster = JsonPoster(config, "/api/v2/alerts", path_is_secret=False)
        self.clock = clock

    def send(self, payload: dict[str, Any]) -> None:
        self.send_batch([payload])

    def send_batch(self, payloads: Sequence[dict[str, Any]]) -> None:
        now = datetime.fromtimestamp(self.clock(), UTC)
        alerts = [alert for payload in payloads for alert in _told(payload, now)]
        try:
            self.poster.post(alerts)
        except NotificationRefused:
            # before 0.27 no label name outside [A-Za-z0-9_] is taken
            names = ("labels", "annotations")
            plain = [{**alert, **{name: legacy_names(alert[name]) for name in names}} for alert in alerts]
            if plain == alerts:
                raise
            self.poster.post(plain)


def _told(payload: dict[str, Any], now: datetime) -> list[dict[str, Any]]:
    """An alert, behind the end of the one that it was before if it has escalated: its labels are others now."""
    alert = as_alertmanager(payload, now)
    if payload["event"] != "escalated":
        return [alert]
    before = {**alert, "labels": {**alert["labels"], "severity": "warning"}, "endsAt": now.isoformat()}
    return [before, alert]


def as_alertmanager(payload: dict[str, Any], now: datetime | None = None) -> dict[str, Any]:
    """One alert in Alertmanager's words."""
    now = now or datetime.now(UTC)
    causes = payload["causes"][:CAUSES]
    starts = min(datetime.fromisoformat(payload["opened"]), now)
    return {
        "labels": {
            **exported_labels(payload["labels"]),
            "alertname": f"Foreshock{payload['kind'].capitalize()}",
            "job": payload["job"],
            "severity": payload["severity"],
            "foreshock_id": payload["id"],
            **({"feature": payload["feature"]} if payload["feature"] else {}),
        },
        "annotations": {
            "summary": payload["summary"],
            "causes": ", ".join(f"{c['feature']} {c['share']:.0%}" for c in causes),
            **_numbers("score", payload["score"], ".2f"),
            **{k: v for c in causes for k, v in _numbers(f"observed_{c['feature']}", c["observed"]).items()},
            **{k: v for c in causes for k, v in _numbers(f"expected_{c['feature']}", c["expected"]).items()},
        },
        "startsAt": starts.isoformat(),
        "endsAt": max(starts, _ends(payload, now)).isoformat(),
        "generatorURL": payload["url"],
    }


def _ends(payload: dict[str, Any], now: datetime) -> datetime:
    resolved = payload["resolved"]
    if resolved is None:
        return now + VALID_FOR
    ends = datetime.fromisoformat(resolved)
    # a notice is over as soon as it is made: Alertmanager tells nobody of an alert that never fired
    return max(ends, now + VALID_FOR) if payload["kind"] == "notice" else ends


def _numbers(name: str, value: float | None, form: str = ".6g") -> dict[str, str]:
    return {} if value is None else {name: format(value, form)}
