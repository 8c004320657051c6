"""Microsoft Teams: an adaptive card to the webhook of a workflow."""

from __future__ import annotations

from typing import Any

from foreshock.notify.channels.base import Channel
from foreshock.notify.posting import JsonPoster

__all__ = ["Teams"]

STYLES = {"info": "accent", "warning": "warning", "critical": "attention"}
LONGEST = 20_000
"""Characters of the text; a card may have 28 KB."""


class Teams(Channel):
    """Posts one adaptive card."""

    escape = "markdown"

    def deliver(self, payload: dict[str, Any]) -> None:
        JsonPoster(self.config).post(self.card(payload))

    def card(self, payload: dict[str, Any]) -> dict[str, Any]:
        """The message of a workflow: one attachment, which is the card."""
        text = self.rendered(payload)
        severity = (payload.get("incident") or {}).get("severity", "info")
        links = payload.get("links", {})
        actions = [
            {"type": "Action.OpenUrl", "title": word, "url": links[name]}
            for name, word in (("incident", "Open"), ("ack", "Acknowledge"), ("silence", "Silence"))
            if links.get(name)
        ]
        title = {"type": "TextBlock", "text": text.title, "weight": "bolder", "size": "medium", "wrap": True}
        body = {"type": "TextBlock", "text": text.body[:LONGEST].replace("\n", "\n\n"), "wrap": True}
        content = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "msteams": {"width": "Full"},
            "body": [
                {"type": "Container", "style": STYLES[severity], "bleed": True, "items": [title]},
                body,
            ],
            "actions": actions,
        }
        card = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": content}
        return {"type": "message", "attachments": [card]}
