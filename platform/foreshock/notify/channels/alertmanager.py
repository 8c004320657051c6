"""Alertmanager as a channel: each incident is one alert there, sent again every minute while it is live."""

from __future__ import annotations

from typing import Any

from foreshock.notify.alertmanager import Alertmanager
from foreshock.notify.channels.base import Channel, Memory
from foreshock.notify.channels.config import AlertmanagerChannel
from foreshock.notify.templates import Templates

__all__ = ["AlertmanagerIncidents"]


class AlertmanagerIncidents(Channel):
    """An incident in Alertmanager's words."""

    config: AlertmanagerChannel

    def __init__(self, name: str, config: AlertmanagerChannel, templates: Templates, memory: Memory) -> None:
        super().__init__(name, config, templates, memory)
        self.receiver = Alertmanager(config)
        self.batch, self.repeat_every = self.receiver.batch, self.receiver.repeat_every

    def deliver(self, payload: dict[str, Any]) -> None:
        self.send_batch([payload])

    def send_batch(self, payloads: Any) -> None:
        """Send several incidents in one request."""
        each = [one for payload in payloads for one in payload.get("messages", [payload])]
        self.receiver.send_batch([as_alert(one) for one in each if one.get("incident")])


def as_alert(payload: dict[str, Any]) -> dict[str, Any]:
    """An incident in the shape of an alert, which `as_alertmanager` takes."""
    incident = payload["incident"]
    return {
        "id": incident["id"], "event": payload["event"] if payload["event"] != "escalated" else "repeated",
        "job": ", ".join(incident["jobs"]), "labels": incident["labels"], "kind": "incident", "feature": None,
        "severity": incident["severity"], "opened": incident["since"], "resolved": incident["resolved"],
        "summary": incident["title"], "score": None, "causes": [], "url": payload["links"]["incident"],
    }  # fmt: skip
