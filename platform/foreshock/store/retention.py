"""Retention: the store stays small though it runs for years."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from foreshock.store import oncall_tables as oncall
from foreshock.store import tables as t
from foreshock.store.store import Store

__all__ = ["Retention", "delete_expired"]

BATCH = 2000
"""Rows of a table that one transaction takes away: others need not wait long."""
INCIDENTS = 200
"""Incidents that one transaction takes away: each has alerts, messages and a timeline."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long resolved alerts (with their history, events, and silences that are over), runs, notifications that
    were sent, and resolved incidents (with their timeline) stay.

    Live alerts and incidents, feedback, and silences whose rows are not learnt from stay for ever.
    """

    alerts: timedelta = timedelta(days=90)
    runs: timedelta = timedelta(days=30)
    outbox: timedelta = timedelta(days=7)
    incidents: timedelta = timedelta(days=365)


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
    e, k = t.events.c, oncall.ack_links.c
    told = sa.select(e.seq).where(e.at_ms < before(keep.alerts, rows_ms), e.type != "incident").limit(BATCH)
    links = sa.select(k.digest).where(k.until_ms < before(keep.outbox)).limit(BATCH)
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
        sa.delete(t.events).where(e.seq.in_(told)),
        sa.delete(oncall.ack_links).where(k.digest.in_(links)),
    ):
        with store.begin() as c:
            gone += c.execute(query).rowcount
    return gone + _delete_incidents(store, before(keep.incidents))


def _delete_incidents(store: Store, before_ms: int) -> int:
    """Take away incidents that ended before a time, with all that is theirs: alerts keep their own life."""
    i = t.incidents.c
    over = sa.select(i.tenant, i.id).where(i.state.in_(("resolved", "merged")), i.updated_ms < before_ms)
    by_tenant: dict[str, list[str]] = {}
    with store.begin() as c:
        for tenant, incident in c.execute(over.limit(INCIDENTS)):
            by_tenant.setdefault(tenant, []).append(incident)
        gone = 0
        for tenant, ids in by_tenant.items():
            for table, column in (
                (t.members, t.members.c.incident), (oncall.pages, oncall.pages.c.incident),
                (oncall.threads, oncall.threads.c.incident), (oncall.ack_links, oncall.ack_links.c.incident),
                (t.events, t.events.c.subject), (t.incidents, i.id),
            ):  # fmt: skip
                gone += c.execute(sa.delete(table).where(table.c.tenant == tenant, column.in_(ids))).rowcount
    return gone
