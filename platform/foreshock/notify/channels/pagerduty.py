"""PagerDuty, Events API v2: an incident is one there, acknowledged and resolved with it."""

from __future__ import annotations

from typing import Any

from foreshock.notify.channels.base import Channel
from foreshock.notify.channels.config import PagerDutyChannel, secret_of
from foreshock.notify.posting import JsonPoster

__all__ = ["PagerDuty"]

ACTIONS = {"acknowledged": "acknowledge", "resolved": "resolve"}
LONGEST_SUMMARY = 1024


class PagerDuty(Channel):
    """Sends one event; the id of the incident is the key that PagerDuty deduplicates on."""

    config: PagerDutyChannel

    def deliver(self, payload: dict[str, Any]) -> None:
        poster = JsonPoster(self.config.model_copy(update={"url": f"{self.config.api.rstrip('/')}/v2/enqueue"}))
        for each in payload.get("messages", [payload]):
            poster.post({**self.event(each), "routing_key": secret_of(self.config, "routing_key")})

    def event(self, payload: dict[str, Any]) -> dict[str, Any]:
        """The event without its key."""
        text = self.rendered(payload)
        incident = payload.get("incident") or {}
        links = payload.get("links", {})
        return {
            "event_action": ACTIONS.get(payload["event"], "trigger"),
            "dedup_key": f"foreshock-{payload['id']}",
            "client": "Foreshock",
            "client_url": links.get("incident", ""),
            "links": [{"href": links["incident"], "text": "Incident"}] if links.get("incident") else [],
            "payload": {
                "summary": text.title[:LONGEST_SUMMARY],
                "source": ", ".join(incident.get("entities", [])[:5]) or "foreshock",
                "severity": incident.get("severity", "info"),
                "timestamp": incident.get("since") or payload.get("posted"),
                "component": (incident.get("entities") or [""])[0],
                "group": ", ".join(incident.get("jobs", [])),
                "class": incident.get("class") or "",
                "custom_details": {"text": text.body, "alerts": incident.get("alerts")},
            },
        }
