"""Retention: the store stays small though it runs for years."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from foreshock.store import tables as t
from foreshock.store.store import Store

__all__ = ["Retention", "delete_expired"]

BATCH = 2000
"""Rows of a table that one transaction takes away: others need not wait long."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long resolved alerts (with their history, events, and silences that are over), runs and notifications
    that were sent stay.

    Live alerts, feedback, and silences whose rows are not learnt from stay for ever.
    """

    alerts: timedelta = timedelta(days=90)
    runs: timedelta = timedelta(days=30)
    outbox: timedelta = timedelta(days=7)


def delete_expired(store: Store, keep: Retention, now_ms: int) -> int:
    """Take away a batch of what is older than it is kept; gives how many rows, 0 when nothing is left to do."""

    def before(age: timedelta, now_ms: int = now_ms) -> int:
        return now_ms - round(age.total_seconds() * 1000)

    # alerts age in the time of the rows: those of a replayed past are not old when they are made
    with store.begin() as c:
        scored_ms = c.execute(sa.select(sa.func.max(t.scorers.c.scored_ms))).scalar()
    rows_ms = now_ms if scored_ms is None else min(now_ms, scored_ms)
    a, o, r, s, u = t.alerts.c, t.outbox.c, t.runs.c, t.silences.c, t.unwritten.c
    old = sa.select(a.id).where(a.resolved_ms < before(keep.alerts, rows_ms), a.state == "resolved").limit(BATCH)
    sent = sa.select(o.seq).where(o.sent_ms < before(keep.outbox)).limit(BATCH)
    ended = sa.select(r.id).where(r.ended_ms < before(keep.runs)).limit(BATCH)
    over = sa.select(s.id).where(s.end_ms < before(keep.alerts), s.exclude == sa.false()).limit(BATCH)
    left = sa.select(u.seq).where(u.posted_ms < before(keep.outbox)).limit(BATCH)  # of jobs that write no more
    told = sa.select(t.events.c.seq).where(t.events.c.at_ms < before(keep.alerts, rows_ms)).limit(BATCH)
    gone = 0
    with store.begin() as c:
        ids = list(c.execute(old).scalars())
        if ids:
            c.execute(sa.delete(t.history).where(t.history.c.alert.in_(ids)))
            gone += c.execute(sa.delete(t.alerts).where(a.id.in_(ids))).rowcount
    for query in (
        sa.delete(t.outbox).where(o.seq.in_(sent)),
        sa.delete(t.runs).where(r.id.in_(ended)),
        sa.delete(t.silences).where(s.id.in_(over)),
        sa.delete(t.unwritten).where(u.seq.in_(left)),
        sa.delete(t.events).where(t.events.c.seq.in_(told)),
    ):
        with store.begin() as c:
            gone += c.execute(query).rowcount
    return gone
