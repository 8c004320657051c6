"""Events of one tenant in the store, and how far each consumer has read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from foreshock.events.model import TYPES, Event
from foreshock.store import tables as t
from foreshock.store.scope import current_tenant
from foreshock.store.store import Store
from foreshock_models.errors import StoreError, allowed

__all__ = ["EventRepository"]

LOCK = 7_351_002
"""Lock of PostgreSQL that appends take: a sequence gives numbers before transactions end, and a reader that has
seen number 5 would miss a 4 that is committed later."""
COLUMNS = ("seq", "tenant", "at_ms", "type", "subject", "data")


@dataclass(frozen=True, slots=True)
class EventRepository:
    """Events of a tenant."""

    store: Store
    tenant: str = field(default_factory=current_tenant)

    def append(self, c: Connection, type_: str, subject: str, data: dict[str, Any], at_ms: int) -> int:
        """Write an event into the transaction of what happened; gives its number.

        Raises
        ------
        StoreError
            No such type.
        """
        if type_ not in TYPES:
            raise StoreError(f"no type of event {type_!r}; {allowed(type_, TYPES)}")
        if self.store.engine.dialect.name == "postgresql":
            c.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
        values = {"tenant": self.tenant, "at_ms": at_ms, "type": type_, "subject": subject, "data": data}
        insert = sa.insert(t.events).values(**values).returning(t.events.c.seq)
        return int(c.execute(insert).scalar_one())

    def since(
        self,
        seq: int,
        types: Sequence[str] = (),
        *,
        subject: str | None = None,
        limit: int = 500,
        connection: Connection | None = None,
    ) -> list[Event]:
        """Events behind a number, in their order; of some types, or about one subject, only."""
        e = t.events.c
        query = sa.select(*(e[name] for name in COLUMNS)).where(e.tenant == self.tenant, e.seq > seq)
        if types:
            query = query.where(e.type.in_(types))
        if subject is not None:
            query = query.where(e.subject == subject)
        with self.store.use(connection) as c:
            return [Event(*row) for row in c.execute(query.order_by(e.seq).limit(limit))]

    def newest(self) -> int:
        """Number of the newest event; 0 if there is none."""
        query = sa.select(sa.func.max(t.events.c.seq)).where(t.events.c.tenant == self.tenant)
        with self.store.begin() as c:
            return int(c.execute(query).scalar() or 0)

    def oldest(self) -> int:
        """Number of the oldest event that is still kept; 0 if there is none."""
        query = sa.select(sa.func.min(t.events.c.seq)).where(t.events.c.tenant == self.tenant)
        with self.store.begin() as c:
            return int(c.execute(query).scalar() or 0)

    # -- consumers -------------------------------------------------------------------------------------
    def reached(self, c: Connection, consumer: str) -> int:
        """How far a consumer has read; no other process reads for it before this transaction ends."""
        r = t.readers
        values = {"tenant": self.tenant, "consumer": consumer, "seq": 0}
        c.execute(self.store.insert(r).values(**values).on_conflict_do_nothing())
        query = sa.select(r.c.seq).where(r.c.tenant == self.tenant, r.c.consumer == consumer)
        return int(c.execute(query.with_for_update()).scalar_one())

    def reach(self, c: Connection, consumer: str, seq: int) -> None:
        """Note how far a consumer has read, in the transaction of what it made of the events."""
        r = t.readers
        where = (r.c.tenant == self.tenant, r.c.consumer == consumer)
        c.execute(sa.update(r).where(*where).values(seq=seq))
