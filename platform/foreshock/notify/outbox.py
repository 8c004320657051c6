"""The outbox: what is to be delivered, written in one transaction with what happened, before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from foreshock.store import tables as t
from foreshock.store.store import Store

__all__ = ["EVERY", "LAPSES", "Delivery", "Outbox"]

EVERY = "*"
"""Stands, after the job's name and a slash, for each notifier that the job has when it is delivered."""
LONGEST_PAUSE_MS = 120_000
"""Twice the longest pause between two attempts."""
LAPSES = "lapses"
"""Event of a notification that is about a silence."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Something in the outbox; `key` is the same at every attempt."""

    seq: int
    key: str
    notifier: str
    payload: dict[str, Any]
    attempts: int
    due_ms: int


@dataclass(frozen=True, slots=True)
class Outbox:
    """Deliveries in the store."""

    store: Store

    def post(self, c: Connection, key: str, notifier: str, payload: dict[str, Any], due_ms: int) -> None:
        """Put something into the outbox, once for each `key`."""
        values = {"key": key, "notifier": notifier, "payload": payload, "due_ms": due_ms, "attempts": 0}
        insert = self.store.insert(t.outbox).values(**values)
        c.execute(insert.on_conflict_do_nothing(index_elements=["key"]))

    def waiting(self) -> list[str]:
        """Notifiers for which something is still to be sent."""
        query = sa.select(t.outbox.c.notifier).where(t.outbox.c.sent_ms.is_(None)).distinct()
        with self.store.begin() as c:
            return list(c.execute(query).scalars())

    def due(self, notifier: str, now_ms: int, *, after: int = 0, limit: int = 100) -> list[Delivery]:
        """Notifications to send to a notifier now, in the order in which it was posted, from behind `after` on."""
        o = t.outbox.c
        query = (
            sa.select(o.seq, o.key, o.notifier, o.payload, o.attempts, o.due_ms)
            .where(o.sent_ms.is_(None), o.notifier == notifier, _is_due(now_ms), o.seq > after)
            .order_by(o.seq)
            .limit(limit)
        )
        with self.store.begin() as c:
            return [Delivery(*row) for row in c.execute(query)]

    def claim(self, notifier: str, now_ms: int, lease_ms: int, limit: int) -> list[Delivery]:
        """Take what is due for a notifier, in order, so that no other process sends it until the lease ends.

        A claim from the future, by a clock that has been set back since, counts as none.
        """
        o = t.outbox.c
        free = sa.or_(o.claimed_ms.is_(None), o.claimed_ms <= now_ms - lease_ms, o.claimed_ms > now_ms + lease_ms)
        waits = (o.sent_ms.is_(None), o.notifier == notifier, _is_due(now_ms), free)
        seqs = sa.select(o.seq).where(*waits).order_by(o.seq).limit(limit).with_for_update(skip_locked=True)
        with self.store.begin() as c:
            taken = list(c.execute(seqs).scalars())
            if not taken:
                return []
            c.execute(sa.update(t.outbox).where(o.seq.in_(taken)).values(claimed_ms=now_ms))
            query = sa.select(o.seq, o.key, o.notifier, o.payload, o.attempts, o.due_ms).where(o.seq.in_(taken))
            return [Delivery(*row) for row in c.execute(query.order_by(o.seq))]

    def release(self, seqs: Sequence[int]) -> None:
        """Give back what was claimed and not sent."""
        with self.store.begin() as c:
            o = t.outbox.c
            c.execute(sa.update(t.outbox).where(o.seq.in_(list(seqs)), o.sent_ms.is_(None)).values(claimed_ms=None))

    def sent_times(self, notifier: str, since_ms: int) -> list[int]:
        """When messages were sent to a notifier, ms since the epoch; those that were sent as one count once."""
        o = t.outbox.c
        query = sa.select(o.sent_ms).where(o.notifier == notifier, o.sent_ms > since_ms, o.error.is_(None))
        with self.store.begin() as c:
            return list(c.execute(query.distinct()).scalars())

    def postponed(self, notifier: str, now_ms: int) -> list[str]:
        """Keys of what is to be sent to a notifier later than now."""
        o = t.outbox.c
        query = sa.select(o.key).where(o.sent_ms.is_(None), o.notifier == notifier, sa.not_(_is_due(now_ms)))
        with self.store.begin() as c:
            return list(c.execute(query).scalars())

    def unsent(self, notifier: str | None = None, limit: int = 200) -> list[Delivery]:
        """Notifications that are still to be sent, to a notifier or to all, in the order in which it was posted."""
        o = t.outbox.c
        query = sa.select(o.seq, o.key, o.notifier, o.payload, o.attempts, o.due_ms)
        query = query.where(o.sent_ms.is_(None)).order_by(o.seq).limit(limit)
        if notifier is not None:
            query = query.where(o.notifier == notifier)
        with self.store.begin() as c:
            return [Delivery(*row) for row in c.execute(query)]

    def settle(self, c: Connection, seq: int, now_ms: int, error: str | None = None) -> None:
        """Nothing more is to be done about an entry: it was sent, or, with an error, given up."""
        c.execute(sa.update(t.outbox).where(t.outbox.c.seq == seq).values(sent_ms=now_ms, error=error))

    def not_sent(self, c: Connection, seq: int, error: str, due_ms: int) -> None:
        """Note a failed attempt, unless another process has sent the entry meanwhile."""
        o = t.outbox
        values = {"attempts": o.c.attempts + 1, "error": error, "due_ms": due_ms, "claimed_ms": None}
        c.execute(sa.update(o).where(o.c.seq == seq, o.c.sent_ms.is_(None)).values(values))

    def undelivered(self) -> int:
        with self.store.begin() as c:
            return int(c.execute(sa.select(sa.func.count()).where(t.outbox.c.sent_ms.is_(None))).scalar_one())


def _is_due(now_ms: int) -> sa.ColumnElement[bool]:
    """True for what is due; a pause after a failure that is longer than any is of a clock that was set back."""
    o = t.outbox.c
    return sa.or_(o.due_ms <= now_ms, sa.and_(o.attempts > 0, o.due_ms > now_ms + LONGEST_PAUSE_MS))
