"""The queue of one notifier: what the outbox holds for it, sent in order by one thread at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from sqlalchemy.engine import Connection

from foreshock.logs import get_logger
from foreshock.notify import Failure, Sender, pause_ms
from foreshock.notify.outbox import LAPSES, Delivery, Outbox
from foreshock.store.store import Store

__all__ = ["Counts", "NotifierQueue", "Payload"]

Payload = dict[str, Any]
T = TypeVar("T")
log = get_logger("delivery")
TURN_SECONDS = 5.0
"""After so long a queue lets others have its thread."""
REFUSED_IN_A_ROW = 3
"""If so many are refused one after the other, it is the receiver, and it is left alone for a while."""
GIVE_UP_AFTER = 300
"""Attempts, most of them a minute apart, after which what a receiver refuses is given up."""
FAULTS = 5
"""After so many unforeseen errors over one notification, it waits on its own, and others are tried."""


Record = Callable[[Connection, str, str, str, int], None]
"""Takes a transaction, the subject's id, event, reason and time in ms."""


class Counts(Protocol):
    """Counts what came of deliveries."""

    def count(self, result: str, number: int = 1) -> None:
        """``sent``, ``failed``, ``dropped`` or ``repeated``."""


class NotifierQueue:
    """Sends what is due to one notifier.

    The order of the outbox is kept, with one exception: a notification that the receiver refuses waits on its own,
    and with it later ones of the same alert, while those of other alerts are sent.

    Parameters
    ----------
    live
        Gives what is to be sent again to a receiver that forgets: the payloads of all alerts that are live, or were
        a short time ago.
    record
        Writes into the history of what a notification is about that it was given up.

    Attributes
    ----------
    retired : its job no longer has this notifier; what waits is still sent
    """

    def __init__(
        self,
        name: str,
        sender: Sender,
        store: Store,
        counts: Counts,
        live: Callable[[int], Sequence[Payload]],
        record: Record,
    ) -> None:
        self.name = name
        self.sender = sender
        self.store = store
        self.outbox = Outbox(store)
        self.counts = counts
        self.retired = False
        self._delivered = 0
        self._live = live
        self._record = record
        self._repeat_ms = 0
        self._refused = 0

    def has_work(self, now_ms: int, waiting: bool) -> bool:
        """True if a turn would do something; `waiting`: the outbox holds something for it."""
        if self.sender.resting(now_ms):
            return False
        return waiting or (not self.retired and (not self.sender.ready or self._repeats(now_ms)))

    def take_delivered(self) -> int:
        """Return how many notifications were delivered since the last call."""
        found, self._delivered = self._delivered, 0
        return found

    def turn(self, now_ms: int) -> None:
        """Send what is due, for a few seconds at most; then what is to be sent again.

        Raises
        ------
        StoreError
            The store is away; what was sent meanwhile may be sent twice.
        """
        failure = self.sender.prepare()
        if failure is not None:
            self._failed(failure, now_ms)
        elif self._drain(now_ms) and not self.retired and self._repeats(now_ms):
            self._repeat(now_ms)

    # -- the outbox ------------------------------------------------------------------------------------
    def _drain(self, now_ms: int) -> bool:
        """Send what is due; False if there is more, or the receiver is to be left alone."""
        until = time.monotonic() + TURN_SECONDS
        after = 0
        while page := self.outbox.due(self.name, now_ms, after=after):
            after = page[-1].seq
            held = {_subject(key) for key in self.outbox.postponed(self.name, now_ms)}
            for batch in _batches(page, self.sender.batch):
                if time.monotonic() > until or not self._send(batch, held, now_ms):
                    return False
        return True

    def _send(self, batch: Sequence[Delivery], held: set[str], now_ms: int) -> bool:
        """Send a batch, parted where some of it is refused; False if the receiver is to be left alone."""
        items = [item for item in batch if _subject(item.key) not in held]
        if not items:
            return True
        failure = self.sender.send([item.payload for item in items])
        if failure is None:
            self._sent(items, now_ms)
            return True
        if failure.refused and len(items) > 1:
            middle = len(items) // 2
            return self._send(items[:middle], held, now_ms) and self._send(items[middle:], held, now_ms)
        first = items[0]
        alone = failure.refused or (not failure.foreseen and first.attempts + 1 >= FAULTS)
        self._not_sent(first, failure, now_ms, alone=alone)
        if alone:
            held.add(_subject(first.key))
            self._refused += 1
            if self._refused < REFUSED_IN_A_ROW:
                self.counts.count("failed")
                return True
        self._failed(failure, now_ms)
        return False

    def _sent(self, items: Sequence[Delivery], now_ms: int) -> None:
        with self.store.begin() as c:
            for item in items:
                self.outbox.settle(c, item.seq, now_ms)
                if item.attempts:
                    why = f"to {self.name}, after {item.attempts} failed attempts"
                    self._note(c, item, "delivered", why, now_ms)
        self._delivered += len(items)
        self.counts.count("sent", len(items))
        self._succeeded()

    def _not_sent(self, item: Delivery, failure: Failure, now_ms: int, *, alone: bool) -> None:
        """Note a failed attempt; one that waits on its own gets a time, else the pause of the receiver holds."""
        given_up = failure.refused and item.attempts + 1 >= GIVE_UP_AFTER
        with self.store.begin() as c:
            if given_up:
                self.outbox.settle(c, item.seq, now_ms, failure.reason)
                self._note(c, item, "undelivered", f"to {self.name}, given up: {failure.reason}", now_ms)
            else:
                due_ms = now_ms + pause_ms(item.attempts) if alone else item.due_ms
                self.outbox.not_sent(c, item.seq, failure.reason, due_ms)
                if item.attempts == 0:
                    why = f"to {self.name}: {failure.reason}; it is tried again"
                    self._note(c, item, "undelivered", why, now_ms)
        say = log.error if given_up else log.warning
        say(
            "notification given up" if given_up else "not delivered", notifier=self.name,
            alert=item.payload.get("id"), error=failure.reason, attempts=item.attempts + 1,
        )  # fmt: skip
        if given_up:
            self.counts.count("dropped")

    def _note(self, c: Any, item: Delivery, event: str, why: str, now_ms: int) -> None:
        if item.payload.get("event") != LAPSES:  # that is about a silence, and no alert
            self._record(c, _subject(item.key), event, why, now_ms)

    # -- what is sent again ----------------------------------------------------------------------------
    def _repeats(self, now_ms: int) -> bool:
        if self.sender.repeat_every is None:
            return False
        since_ms = self._repeat_ms - round(self.sender.repeat_every * 1000)
        return not since_ms <= now_ms < self._repeat_ms  # before: the clock has been set back

    def _repeat(self, now_ms: int) -> None:
        for batch in _batches(self._live(now_ms), self.sender.batch):
            failure = self._again(batch)
            if failure is not None:
                self._failed(failure, now_ms)
                log.warning("live alerts not sent again", notifier=self.name, error=failure.reason)
                return
        self._repeat_ms = now_ms + round((self.sender.repeat_every or 0) * 1000)
        self._succeeded()

    def _again(self, payloads: Sequence[Payload]) -> Failure | None:
        """Send a batch, parted where some of it is refused; what is refused alone is passed over with a log."""
        failure = self.sender.send(payloads)
        if failure is None:
            self.counts.count("repeated", len(payloads))
            self._refused = 0
            return None
        if not failure.refused:
            return failure
        if len(payloads) > 1:
            middle = len(payloads) // 2
            return self._again(payloads[:middle]) or self._again(payloads[middle:])
        log.warning("alert refused", notifier=self.name, alert=payloads[0].get("id"), error=failure.reason)
        self.counts.count("failed")
        self._refused += 1
        return failure if self._refused >= REFUSED_IN_A_ROW else None

    def _succeeded(self) -> None:
        if self.sender.failures:
            log.info("delivered again", notifier=self.name, failures=self.sender.failures)
        self._refused = 0
        self.sender.succeeded()

    def _failed(self, failure: Failure, now_ms: int) -> None:
        self.counts.count("failed")
        if not self.sender.ready:
            log.warning("notifier cannot be made", notifier=self.name, error=failure.reason)
        self.sender.failed(now_ms, failure.retry_after)


def _subject(key: str) -> str:
    """The alert that an entry is about; its notifications stay in order."""
    return key.partition("/")[0]


def _batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
