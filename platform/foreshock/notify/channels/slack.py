"""Slack: an incoming webhook, or a bot that updates its message and answers in its thread."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from foreshock.notify.channels.base import SHORT_EVENTS, Channel
from foreshock.notify.channels.config import SlackChannel, secret_of
from foreshock.notify.posting import JsonPoster, encoded
from foreshock.notify.slack_requests import ACKNOWLEDGE
from foreshock.notify.templates import COLOURS
from foreshock_models.errors import NotificationRefused, NotifyError

__all__ = ["Slack"]

LONGEST = 2900
"""Characters of a section; Slack takes 3000."""
THE_MESSAGE = {"msg_too_long", "invalid_blocks", "no_text", "too_many_attachments", "invalid_arguments"}
"""Errors that are about this message; all others are about the channel or the token."""


class Slack(Channel):
    """Posts blocks; a bot changes the message of an incident when that changes."""

    config: SlackChannel
    escape = "slack"

    def deliver(self, payload: dict[str, Any]) -> None:
        message = self.message(payload)
        if self.config.url is not None:
            JsonPoster(self.config).post(message)
            return
        known = self.memory.recall(self.name, payload["id"])
        if known is None:
            answer = self._call("chat.postMessage", {**message, "channel": self.config.channel})
            self.memory.remember(self.name, payload["id"], {"channel": answer["channel"], "ts": answer["ts"]})
            return
        reply = {"channel": known["channel"], "thread_ts": known["ts"], "text": message["text"]}
        if payload["event"] in SHORT_EVENTS:
            self._call("chat.update", {**message, **known})
        else:
            reply = {**reply, "reply_broadcast": True}
        self._call("chat.postMessage", reply)

    def message(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Text for notifications, and blocks with buttons."""
        text = self.rendered(payload)
        links = payload.get("links", {})
        buttons = [
            self._button(name, word, links[name])
            for name, word in (("incident", "Open"), ("ack", "Acknowledge"), ("silence", "Silence"))
            if links.get(name)
        ]
        blocks: list[dict[str, Any]] = [
            {"type": "section", "text": {"type": "mrkdwn", "text": f"*{text.title}*\n{text.body}"[:LONGEST]}}
        ]
        if buttons:
            blocks.append({"type": "actions", "elements": buttons})
        severity = (payload.get("incident") or {}).get("severity", "info")
        return {"text": text.title, "attachments": [{"color": COLOURS[severity], "blocks": blocks}]}

    def _button(self, name: str, word: str, url: str) -> dict[str, Any]:
        """A button that opens a link; where Slack may tell of it, the one that acknowledges does so at once."""
        button: dict[str, Any] = {"type": "button", "text": {"type": "plain_text", "text": word}}
        token = parse_qs(urlsplit(url).query).get("token")
        if name == "ack" and token and secret_of(self.config, "signing_secret") is not None:
            return {**button, "action_id": ACKNOWLEDGE, "value": token[0], "style": "primary"}
        return {**button, "action_id": f"foreshock_{name}", "url": url}

    def _call(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        """Call a method of the Web API, which answers 200 whatever came of it."""
        poster = JsonPoster(self.config.model_copy(update={"url": f"{self.config.api.rstrip('/')}/{method}"}))
        headers = {
            "Authorization": f"Bearer {secret_of(self.config, 'token')}",
            "Content-Type": "application/json; charset=utf-8",
        }
        answer = poster.send(encoded(body), headers, read=True)
        try:
            found = orjson.loads(answer.body)
        except orjson.JSONDecodeError as exc:
            raise NotifyError(f"slack {method}: the answer is no JSON") from exc
        if not isinstance(found, dict) or not found.get("ok"):
            error = found.get("error", "no reason given") if isinstance(found, dict) else "no object"
            kind = NotificationRefused if error in THE_MESSAGE else NotifyError
            raise kind(f"slack {method}: {error}")
        return found
