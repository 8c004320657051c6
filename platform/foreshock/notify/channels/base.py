"""Common part of channels: a payload becomes text by templates; the store keeps what a channel must remember."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from foreshock.notify.channels.config import _Channel
from foreshock.notify.templates import Rendered, Templates

__all__ = ["Channel", "Memory", "NoMemory", "Picture", "idempotency_key"]

SHORT_EVENTS = {"acknowledged", "resolved", "joined", "commented"}
"""Events that change what was told before."""


Picture = Callable[[str], bytes | None]


class Memory(Protocol):
    """Keeps the address of the message about an incident in a channel, so that it can be changed later."""

    def recall(self, channel: str, incident: str) -> dict[str, Any] | None: ...

    def remember(self, channel: str, incident: str, reference: dict[str, Any]) -> None: ...


class NoMemory:
    """Remembers nothing."""

    def recall(self, channel: str, incident: str) -> dict[str, Any] | None:
        return None

    def remember(self, channel: str, incident: str, reference: dict[str, Any]) -> None:
        pass


class Channel:
    """Base of channels: `deliver` sends one payload.

    Attributes
    ----------
    escape : how text of others is made harmless; see `foreshock.notify.templates.ESCAPES`
    kind : the built-in template
    picture : draws the timeline of an incident, as PNG; None: there is none
    """

    escape = "plain"
    kind = "text"

    picture: Picture = staticmethod(lambda incident: None)

    def __init__(self, name: str, config: _Channel, templates: Templates, memory: Memory) -> None:
        self.name = name
        self.config = config
        self.templates = templates
        self.memory = memory

    def send(self, payload: dict[str, Any]) -> None:
        """Deliver one message, or several that waited as one (``digest``)."""
        self.deliver(payload)

    def deliver(self, payload: dict[str, Any]) -> None:
        raise NotImplementedError

    def rendered(self, payload: dict[str, Any], *, escape: str | None = None, kind: str | None = None) -> Rendered:
        """The message as text; several that waited are one, a line each."""
        name = payload.get("template") or self.config.template or self.config.type
        kind = kind or self.kind
        language = self.config.language
        escape = escape or self.escape
        if "messages" not in payload:
            return self.templates.render(name, escape, payload, kind=kind, language=language)
        parts = [
            self.templates.render(name, escape, each, kind=kind, language=language) for each in payload["messages"]
        ]
        lines = [part.title or part.body.strip() for part in parts]
        return Rendered(f"{len(parts)} messages: {lines[-1]}", "\n".join(lines) + "\n", parts[0].problem)


def idempotency_key(payload: dict[str, Any]) -> str:
    """Return what identifies a message at each attempt to deliver it."""
    return str(payload.get("key") or f"{payload['id']}-{payload['event']}-{payload.get('posted', '')}")
