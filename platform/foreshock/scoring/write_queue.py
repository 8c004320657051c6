"""Scores that wait for the receiver of remote write: an outbox of its own, for they are many."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from foreshock.store import tables as t
from foreshock.store.store import Store

__all__ = ["Block", "WaitingBlock", "WriteQueue"]


@dataclass(frozen=True, slots=True)
class Block:
    """So many samples, as bytes that whoever writes them can read."""

    samples: int
    data: bytes


@dataclass(frozen=True, slots=True)
class WaitingBlock:
    """One that waits, since `posted_ms`, ms since the epoch."""

    seq: int
    posted_ms: int
    block: Block


class WriteQueue:
    """Blocks of jobs, in the order in which they were posted."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def post(self, c: Connection, job: str, blocks: Iterable[Block], now_ms: int) -> None:
        rows = [{"job": job, "posted_ms": now_ms, "samples": b.samples, "block": b.data} for b in blocks]
        if rows:
            c.execute(sa.insert(t.unwritten), rows)

    def first(self, job: str) -> WaitingBlock | None:
        """The oldest of a job."""
        u = t.unwritten.c
        query = sa.select(u.seq, u.posted_ms, u.samples, u.block).where(u.job == job).order_by(u.seq).limit(1)
        with self.store.begin() as c:
            row = c.execute(query).one_or_none()
        return None if row is None else WaitingBlock(row.seq, row.posted_ms, Block(row.samples, row.block))

    def done(self, seq: int) -> None:
        """It is written, or never can be."""
        with self.store.begin() as c:
            c.execute(sa.delete(t.unwritten).where(t.unwritten.c.seq == seq))

    def drop(self, job: str, before_ms: int) -> int:
        """Take away what was posted before that; gives how many samples."""
        old = (t.unwritten.c.job == job) & (t.unwritten.c.posted_ms < before_ms)
        with self.store.begin() as c:
            samples = c.execute(sa.select(sa.func.sum(t.unwritten.c.samples)).where(old)).scalar_one()
            c.execute(sa.delete(t.unwritten).where(old))
        return int(samples or 0)

    def waiting(self, job: str) -> int:
        """Number of waiting samples of a job."""
        query = sa.select(sa.func.sum(t.unwritten.c.samples)).where(t.unwritten.c.job == job)
        with self.store.begin() as c:
            return int(c.execute(query).scalar_one() or 0)
