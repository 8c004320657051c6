"""Any service that Apprise knows, by its URL: SMS providers, Telegram, Matrix, ntfy, Signal and many others."""

from __future__ import annotations

from typing import Any

from foreshock.notify.channels.base import Channel, Memory
from foreshock.notify.channels.config import AppriseChannel, secret_of
from foreshock.notify.templates import Templates
from foreshock_models.errors import ConfigError, NotifyError

__all__ = ["Apprise"]

TYPES = {"info": "info", "warning": "warning", "critical": "failure"}


class Apprise(Channel):
    """Hands title and text to Apprise."""

    config: AppriseChannel

    def __init__(self, name: str, config: AppriseChannel, templates: Templates, memory: Memory) -> None:
        super().__init__(name, config, templates, memory)
        self.kind = "sms" if config.sms else "text"

    def deliver(self, payload: dict[str, Any]) -> None:
        import apprise  # takes half a second: for those who use it

        service = apprise.Apprise()
        if not service.add(secret_of(self.config, "service") or ""):
            raise ConfigError(f"channel {self.name}: the service is no URL that Apprise knows")
        text = self.rendered(payload)
        severity = (payload.get("incident") or {}).get("severity", "info")
        kind = "success" if payload["event"] == "resolved" else TYPES[severity]
        if not service.notify(body=text.body, title=text.title, notify_type=kind):
            raise NotifyError(f"apprise: the service of channel {self.name} did not take the message")
