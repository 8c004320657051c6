"""Channels of notifications. A notifier sends; its queue retries, and keeps order and ids."""

from __future__ import annotations

from foreshock.notify.registry import (
    NOTIFIERS,
    Notifier,
    RepeatingNotifier,
    check_notifier,
    make_notifier,
    notifier_ids,
)
from foreshock.notify.sender import Failure, Sender, pause_ms

__all__ = [
    "NOTIFIERS",
    "Failure",
    "Notifier",
    "RepeatingNotifier",
    "Sender",
    "check_notifier",
    "make_notifier",
    "notifier_ids",
    "pause_ms",
]
