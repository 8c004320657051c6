"""Where notifications go. A notifier sends one; the outbox retries, and keeps order and ids."""

from __future__ import annotations

from foreshock.notify.notifiers import NOTIFIERS, Notifier, make_notifier, notifier_id

__all__ = ["NOTIFIERS", "Notifier", "make_notifier", "notifier_id"]
