"""Prometheus Alertmanager, API v2."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from foreshock.notify.webhook import post
from foreshock_models.errors import ConfigError
from foreshock_pipelines.jobfile import NotifierConfig

__all__ = ["Alertmanager"]

NEVER_ENDS = datetime(2100, 1, 1, tzinfo=UTC)
"""Foreshock says when an alert is over; Alertmanager's own timeout must not guess."""


class Alertmanager:
    """An alert becomes one of Alertmanager's, told apart by its labels; what drove it is in annotations."""

    def __init__(self, config: NotifierConfig) -> None:
        if config.url is None:
            raise ConfigError("notify: alertmanager needs a url")
        self.config = config
        self.url = f"{config.url.rstrip('/')}/api/v2/alerts"

    def send(self, payload: dict[str, Any]) -> None:
        post(self.config, self.url, [as_alertmanager(payload)])


def as_alertmanager(payload: dict[str, Any]) -> dict[str, Any]:
    """One alert in Alertmanager's words."""
    causes = payload["causes"]
    ends = payload["resolved"] or NEVER_ENDS.isoformat()
    return {
        "labels": {
            **payload["labels"],
            "alertname": f"Foreshock{payload['kind'].capitalize()}",
            "job": payload["job"],
            "severity": payload["severity"],
            "foreshock_id": payload["id"],
            **({"feature": payload["feature"]} if payload["feature"] else {}),
        },
        "annotations": {
            "summary": payload["summary"],
            "causes": ", ".join(f"{c['feature']} {c['share']:.0%}" for c in causes),
            "score": f"{payload['score']:.2f}",
            **{f"observed_{c['feature']}": f"{c['observed']:.6g}" for c in causes if c["observed"] is not None},
            **{f"expected_{c['feature']}": f"{c['expected']:.6g}" for c in causes if c["expected"] is not None},
        },
        "startsAt": payload["opened"],
        "endsAt": ends,
        "generatorURL": payload["url"],
    }
