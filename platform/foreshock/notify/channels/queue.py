"""The queue of one channel: rate limits, digests, claims, and the channel that stands in for a failing one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from foreshock.events.model import DEFAULT_TENANT
from foreshock.events.repository import EventRepository
from foreshock.logs import get_logger
from foreshock.notify.channels.config import _Channel
from foreshock.notify.channels.registry import rules_of
from foreshock.notify.limits import Rule, left, wait_ms
from foreshock.notify.outbox import Delivery
from foreshock.notify.queue import Counts, NotifierQueue, Payload, Record
from foreshock.notify.sender import Failure, Sender
from foreshock.store.store import Store

__all__ = ["PREFIX", "ChannelQueue", "channel_of_queue", "queue_of_channel"]

PREFIX = "channel/"
"""Stands before the name of a channel in the outbox, and before that of its tenant unless it is the first one."""
LEASE_MS = 5_000
"""After so long, and three times the limit of a request, a process with a message in its hand counts as dead."""
TURN_SECONDS = 5.0
PAGE = 50
log = get_logger("delivery")


class ChannelQueue(NotifierQueue):
    """Sends what is due to one channel, each message by one process at a time.

    Messages that a rate limit held back, and those of a digest, are sent as one.
    """

    def __init__(
        self,
        name: str,
        sender: Sender,
        store: Store,
        counts: Counts,
        live: Callable[[int], Sequence[Payload]],
        record: Record,
        config: _Channel,
    ) -> None:
        super().__init__(name, sender, store, counts, live, record)
        self.config = config
        self.rules: Sequence[Rule] = rules_of(config)
        self._lease_ms = LEASE_MS + 3 * round(config.timeout.total_seconds() * 1000)
        self._longest = max((rule.within_ms for rule in self.rules), default=0)

    def has_work(self, now_ms: int, waiting: bool) -> bool:
        return super().has_work(now_ms, waiting) or (waiting and self._stands_in())

    def turn(self, now_ms: int) -> None:
        if not self.sender.resting(now_ms):
            super().turn(now_ms)
        elif self._stands_in():
            self._hand_over(now_ms)

    def _drain(self, now_ms: int) -> bool:
        until = time.monotonic() + TURN_SECONDS
        while time.monotonic() < until:
            sent = self.outbox.sent_times(self.name, now_ms - self._longest) if self.rules else []
            if wait_ms(self.rules, sent, now_ms) > 0:
                return True
            room = left(self.rules, sent, now_ms)
            page = self.outbox.claim(self.name, now_ms, self._lease_ms, PAGE)
            if not page:
                return True
            together = len(page) > 1 and (room < len(page) or self.config.digest is not None)
            for items in [page] if together else [[item] for item in page]:
                if not self._deliver(items, now_ms):
                    self.outbox.release([item.seq for item in page])
                    return False
        return False

    def _deliver(self, items: Sequence[Delivery], now_ms: int) -> bool:
        """Send one message; False if the receiver is to be left alone."""
        first = items[0]
        payload = first.payload if len(items) == 1 else _digest(items)
        failure = self.sender.send([payload])
        if failure is None:
            self._sent(items, now_ms)
            return True
        for item in items:
            self._not_sent(item, failure, now_ms, alone=failure.refused)
        if failure.refused:
            self._hand_over(now_ms, items, failure)
            return True
        self._failed(failure, now_ms)
        if self._stands_in():
            self._hand_over(now_ms)
        return False

    def _sent(self, items: Sequence[Delivery], now_ms: int) -> None:
        super()._sent(items, now_ms)
        with self.store.begin() as c:
            for item in items:
                self._note(c, item, "sent", f"{item.payload.get('event', '')} to {self._short}", now_ms)

    def _note(self, c: Any, item: Delivery, event: str, why: str, now_ms: int) -> None:
        """Write what came of a message as an event."""
        payload = item.payload
        title = (payload.get("incident") or {}).get("title", payload.get("title", ""))
        data = {"event": event, "who": "foreshock", "why": why, "channel": self._short, "title": title}
        events = EventRepository(self.store, payload.get("tenant", DEFAULT_TENANT))
        events.append(c, "notification", str(payload["id"])[:64], data, now_ms)

    @property
    def tenant(self) -> str:
        tenant, slash, _ = self.name.removeprefix(PREFIX).partition("/")
        return tenant if slash else DEFAULT_TENANT

    @property
    def _short(self) -> str:
        return channel_of_queue(self.name)

    def _stands_in(self) -> bool:
        """True if another channel gets what waits for this one."""
        return self.config.fallback is not None and self.sender.failures >= self.config.fallback_after

    def _hand_over(
        self, now_ms: int, items: Sequence[Delivery] | None = None, failure: Failure | None = None
    ) -> None:
        """Give messages to the channel that stands in for this one, in one transaction each."""
        if self.config.fallback is None:
            return
        given = items if items is not None else self.outbox.claim(self.name, now_ms, self._lease_ms, PAGE)
        why = f"handed to the channel {self.config.fallback}: {failure.reason if failure else 'this one fails'}"
        for item in given:
            passed = item.payload.get("passed_on", [])
            if self.config.fallback in passed or len(passed) > 2:  # they stand in for each other
                self.outbox.release([item.seq])
                continue
            payload = {**item.payload, "passed_on": [*passed, self._short]}
            with self.store.begin() as c:
                key = f"{item.key}>{self.config.fallback}"[-160:]
                self.outbox.post(c, key, queue_of_channel(self.config.fallback, self.tenant), payload, now_ms)
                self.outbox.settle(c, item.seq, now_ms, why)
                self._note(c, item, "undelivered", f"to {self.name}, {why}", now_ms)
            log.warning("handed to another channel", channel=self.name, to=self.config.fallback, key=item.key)


def queue_of_channel(channel: str, tenant: str = DEFAULT_TENANT) -> str:
    """Name the queue of a channel in the outbox: channels of two tenants with one name are two queues.

    >>> queue_of_channel("chat"), queue_of_channel("chat", "acme")
    ('channel/chat', 'channel/acme/chat')
    """
    return f"{PREFIX}{channel}" if tenant == DEFAULT_TENANT else f"{PREFIX}{tenant}/{channel}"


def channel_of_queue(queue: str) -> str:
    """Return the name of a channel from that of its queue."""
    return queue.rpartition("/")[2]


def _digest(items: Sequence[Delivery]) -> dict[str, Any]:
    """Several messages as one: of each incident, what is new is said last."""
    latest = items[-1].payload
    return {**latest, "key": items[0].key, "messages": [item.payload for item in items]}
