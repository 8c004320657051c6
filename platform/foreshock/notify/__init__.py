"""Delivery of notifications, from the outbox to receivers.

outbox -> deliverer (which queues there are) -> worker pool (threads) -> queue (order and retries of one receiver)
-> sender (calls one notifier, backs off) -> notifier of a job file, or channel of the notifications file.
"""

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
