"""A channel that writes one line into the log of the platform."""

from __future__ import annotations

from typing import Any

from foreshock.logs import get_logger
from foreshock.notify.channels.base import Channel

__all__ = ["LogLines"]

log = get_logger("incidents")


class LogLines(Channel):
    """One line for each message."""

    def deliver(self, payload: dict[str, Any]) -> None:
        log.warning(self.rendered(payload).title, incident=payload["id"], channel=self.name)
