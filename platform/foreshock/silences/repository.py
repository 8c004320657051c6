"""Silences, in the store."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from foreshock.audit import record
from foreshock.silences.matchers import read_matcher
from foreshock.silences.model import Silence
from foreshock.silences.parsing import check_silence
from foreshock.store import tables as t
from foreshock.store.store import Store
from foreshock_models.errors import StateError, StoreError

__all__ = ["MOST_IN_FORCE", "SilenceRepository"]

MOST_IN_FORCE = 10_000


class SilenceRepository:
    """Silences are never taken away, only ended: what one held back, or took out of training, stays known."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def add(self, silence: Silence) -> Silence:
        """Keep a new one, if it can be; see `check_silence`.

        Raises
        ------
        StateError
            There are `MOST_IN_FORCE` already.
        """
        check_silence(silence)
        s = t.silences.c
        in_force = sa.select(sa.func.count()).where(s.end_ms > silence.created_ms)
        with self.store.begin() as c:
            if c.execute(in_force).scalar_one() >= MOST_IN_FORCE:
                raise StateError(
                    f"{MOST_IN_FORCE} silences are in force or to come, which is the most; end some first: "
                    "foreshock silences end"
                )
            c.execute(sa.insert(t.silences).values(**_row(silence)))
            record(
                self.store, c, "silences:add", silence.id, owner=silence.owner, reason=silence.reason,
                matchers=[str(matcher) for matcher in silence.matchers], end_ms=silence.end_ms,
            )  # fmt: skip
        return silence

    def get(self, silence_id: str, connection: Connection | None = None) -> Silence:
        """One silence; StoreError if there is none of that id."""
        query = sa.select(*t.fields(t.silences)).where(t.silences.c.id == silence_id)
        if connection is not None:
            query = query.with_for_update()
        with self.store.use(connection) as c:
            row = c.execute(query).mappings().one_or_none()
        if row is None:
            raise StoreError(f"no silence {silence_id!r}; see: foreshock silences list")
        return _silence(row)

    def unexpired(self, at_ms: int) -> list[Silence]:
        """Return the silences that have not expired at a time, in the order of their ends."""
        s = t.silences.c
        query = sa.select(*t.fields(t.silences)).where(s.end_ms > at_ms).order_by(s.end_ms, s.id)
        with self.store.begin() as c:
            rows = list(c.execute(query).mappings())
        return list(map(_silence, rows))

    def version(self, at_ms: int) -> tuple[Any, ...]:
        """Return a value that changes whenever `unexpired` would."""
        s = t.silences.c
        found = sa.select(sa.func.count(), sa.func.sum(s.end_ms), sa.func.max(s.created_ms)).where(s.end_ms > at_ms)
        with self.store.begin() as c:
            return tuple(c.execute(found).one())

    def expire(self, silence_id: str, now_ms: int, who: str) -> Silence:
        """Let a silence expire now; alerts that it held back and that last are sent.

        Raises
        ------
        StateError
            It is over already.
        """
        with self.store.begin() as c:
            silence = self.get(silence_id, c)
            if silence.end_ms <= now_ms:
                raise StateError(f"the silence {silence_id} is over already")
            ended = replace(silence, end_ms=now_ms, start_ms=min(silence.start_ms, now_ms), ended_by=who)
            changed = {name: getattr(ended, name) for name in ("start_ms", "end_ms", "ended_by")}
            c.execute(sa.update(t.silences).where(t.silences.c.id == silence_id).values(**changed))
            record(self.store, c, "silences:end", silence_id, who=who)
        return ended

    def reminded(self, c: Connection, silence_id: str, now_ms: int) -> bool:
        """Note that its owner was reminded; False if that was noted before."""
        s = t.silences
        query = sa.update(s).where(s.c.id == silence_id, s.c.reminded_ms.is_(None)).values(reminded_ms=now_ms)
        return bool(c.execute(query).rowcount)


def _row(silence: Silence) -> dict[str, Any]:
    values = {name: getattr(silence, name) for name in Silence.__slots__}
    return {**values, "matchers": [str(matcher) for matcher in silence.matchers]}


def _silence(row: Any) -> Silence:
    return Silence(**{**row, "matchers": tuple(map(read_matcher, row["matchers"]))})
