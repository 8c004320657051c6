"""The audit log in the store. Entries are only ever added, in the transaction of what they tell of."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from foreshock.audit.acting import Actor, current_actor
from foreshock.audit.merkle import append, root_of
from foreshock.audit.model import Checkpoint, Entry, canonical, commitment, leaf_of, salt
from foreshock.audit.personal import merged, pseudonym, set_apart
from foreshock.store import team_tables as t
from foreshock.store.scope import current_tenant
from foreshock.store.store import Store

__all__ = ["AuditRepository", "record"]

EACH = 256
"""Entries from one checkpoint that is kept to the next; of those between, the newest is."""
LONGEST = {"who": 128, "address": 64, "act": 64, "subject": 512}
MOST_DATA = 4096


def record(
    store: Store,
    c: Connection,
    act: str,
    subject: str = "",
    *,
    outcome: str = "done",
    actor: Actor | None = None,
    tenant: str | None = None,
    **data: Any,
) -> int:
    """Add an entry in the transaction at hand, and a signed checkpoint if the store has a signer; gives its place.

    Parameters
    ----------
    actor
        Default: `current_actor`.
    tenant
        Whose log it is for; default: `current_tenant`, and the log of the tenant ``default`` before it is known.
    data
        JSON values; never a secret.
    """
    log = AuditRepository(store, tenant or current_tenant() or t.DEFAULT_TENANT)
    return log.add(c, act, subject, outcome, actor or current_actor(), data)


class AuditRepository:
    """The log of one tenant."""

    def __init__(self, store: Store, tenant: str = t.DEFAULT_TENANT) -> None:
        self.store = store
        self.tenant = tenant

    def add(self, c: Connection, act: str, subject: str, outcome: str, actor: Actor, data: dict[str, Any]) -> int:
        now_ms = round(time.time() * 1000)
        size, frontier = self._head(c)
        subject, data, apart = set_apart(act, _fit("subject", subject), _bounded(data))
        entry = Entry(
            size, now_ms, _fit("who", actor.who), actor.kind, _fit("address", actor.address), _fit("act", act),
            subject, outcome, data,
        )  # fmt: skip
        people = canonical(apart)
        salts = salt(), salt(), salt(), salt()
        hashes = (*_commitments(entry, *salts[:3]), commitment("people", salts[3], people))
        leaf = leaf_of(self.tenant, size, now_ms, *hashes)
        where = {"tenant": self.tenant, "seq": size}
        names = ("who_hash", "address_hash", "rest_hash", "people_hash")
        c.execute(
            sa.insert(t.audit).values(
                **where, at_ms=now_ms, leaf=leaf.hex(), **dict(zip(names, hashes, strict=True))
            )
        )
        words = {name: getattr(entry, name) for name in ("who", "kind", "address", "act", "subject", "outcome")}
        named = dict(zip(("who_salt", "address_salt", "rest_salt", "people_salt"), salts, strict=True))
        texts = {"data": orjson.dumps(entry.data).decode(), "people": people.decode()}
        values = {**where, **words, **named, **texts}
        c.execute(sa.insert(t.audit_details).values(**values))
        frontier = append(frontier, size, leaf)
        self._keep_head(c, size + 1, frontier)
        if self.store.signer is not None:
            unsigned = Checkpoint(self.tenant, size + 1, root_of(frontier).hex(), now_ms, {})
            self.keep(c, self.store.signer(c, unsigned))
        return size

    def head(self, c: Connection, now_ms: int) -> Checkpoint:
        """The present size and root, unsigned."""
        size, frontier = self._head(c)
        return Checkpoint(self.tenant, size, root_of(frontier).hex(), now_ms, {})

    def keep(self, c: Connection, made: Checkpoint) -> None:
        """Keep a signed checkpoint; the one before it goes, unless it is the last of `EACH` entries."""
        k = t.audit_checkpoints
        c.execute(
            sa.delete(k).where(k.c.tenant == self.tenant, sa.or_(k.c.size % EACH != 0, k.c.size == made.size))
        )
        values = {name: getattr(made, name) for name in ("tenant", "size", "root", "at_ms", "signatures")}
        c.execute(sa.insert(k).values(**values))

    def checkpoints(self, c: Connection) -> list[Checkpoint]:
        """Those that are kept, the oldest first."""
        k = t.audit_checkpoints
        rows = c.execute(sa.select(k).where(k.c.tenant == self.tenant).order_by(k.c.size)).mappings()
        return [Checkpoint(**row) for row in rows]

    def leaves(self, c: Connection) -> Iterator[Any]:
        """Rows of the log with what is left of their entries, in order."""
        a, d = t.audit, t.audit_details
        detail = [column.label(f"d_{column.name}") for column in d.columns]
        query = (
            sa.select(a, *detail)
            .select_from(a.outerjoin(d, sa.and_(a.c.tenant == d.c.tenant, a.c.seq == d.c.seq)))
            .where(a.c.tenant == self.tenant)
            .order_by(a.c.seq)
        )
        with c.execute(query, execution_options={"yield_per": 1000}) as found:
            yield from found.mappings()

    def find(
        self,
        c: Connection,
        *,
        act: str | None = None,
        who: str | None = None,
        since_ms: int = 0,
        before: int | None = None,
        limit: int = 50,
    ) -> list[Entry]:
        """Entries, the newest first."""
        a, d = t.audit.c, t.audit_details.c
        query = (
            sa.select(t.audit_details, a.at_ms)
            .select_from(t.audit_details.join(t.audit, sa.and_(a.tenant == d.tenant, a.seq == d.seq)))
            .where(a.tenant == self.tenant, a.at_ms >= since_ms)
            .order_by(a.seq.desc())
            .limit(limit)
        )
        if act is not None:
            query = query.where(d.act == act if ":" in act else d.act.startswith(f"{act}:", autoescape=True))
        if who is not None:
            query = query.where(sa.or_(d.who == who, d.pseudonym == who))
        if before is not None:
            query = query.where(a.seq < before)
        return [entry_of(row) for row in c.execute(query).mappings()]

    def erase_people(self, c: Connection, before_ms: int, key: bytes | None = None) -> int:
        """Erase who, address and other names of people from entries older than a time; gives how many had them.

        Parameters
        ----------
        key
            Of the pseudonyms that take the place of who; None: nothing does.
        """
        a, d = t.audit.c, t.audit_details.c
        old = sa.select(a.seq).where(a.tenant == self.tenant, a.at_ms < before_ms)
        due = sa.and_(d.tenant == self.tenant, d.seq.in_(old), d.who_salt.is_not(None))
        nothing = dict.fromkeys(("who", "who_salt", "address", "address_salt", "people", "people_salt"))
        done = 0
        for who in c.execute(sa.select(d.who).distinct().where(due)).scalars().all():
            name = None if key is None or who is None else pseudonym(key, who)
            change = sa.update(t.audit_details).where(due, d.who == who).values(**nothing, pseudonym=name)
            done += int(c.execute(change).rowcount)
        return done

    def pseudonyms(self, c: Connection) -> str:
        """Hash over all pseudonyms and their places."""
        d, found = t.audit_details.c, hashlib.sha256()
        query = (
            sa.select(d.seq, d.pseudonym).where(d.tenant == self.tenant, d.pseudonym.is_not(None)).order_by(d.seq)
        )
        for seq, name in c.execute(query, execution_options={"yield_per": 1000}):
            found.update(named(seq, name))
        return found.hexdigest()

    def _head(self, c: Connection) -> tuple[int, list[bytes]]:
        h = t.audit_heads
        if self.store.engine.dialect.name == "postgresql":  # the first entry of a tenant has no row to lock yet
            c.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(f"audit {self.tenant}"))))
        row = c.execute(sa.select(h.c.size, h.c.frontier).where(h.c.tenant == self.tenant)).one_or_none()
        return (0, []) if row is None else (row.size, [bytes.fromhex(word) for word in row.frontier.split()])

    def _keep_head(self, c: Connection, size: int, frontier: list[bytes]) -> None:
        values = {"size": size, "frontier": " ".join(node.hex() for node in frontier)}
        insert = self.store.insert(t.audit_heads).values(tenant=self.tenant, **values)
        c.execute(insert.on_conflict_do_update(index_elements=["tenant"], set_=values))


def entry_of(row: Any, *, whole: bool = True) -> Entry:
    """Make an entry of a row; `whole`: with what names people in its place, else as the leaf commits to it."""
    words = {name: row[name] for name in ("seq", "at_ms", "who", "kind", "address", "act", "outcome", "pseudonym")}
    subject, data = row["subject"], json.loads(row["data"])
    if whole and row["people"] is not None:
        subject, data = merged(subject, data, json.loads(row["people"]))
    return Entry(**words, subject=subject, data=data)


def named(seq: int, name: str) -> bytes:
    """A pseudonym and its place, as they are hashed."""
    return f"{seq} {name}\n".encode()


def _commitments(entry: Entry, who_salt: str, address_salt: str, rest_salt: str) -> tuple[str, str, str]:
    return (
        commitment("who", who_salt, (entry.who or "").encode()),
        commitment("address", address_salt, (entry.address or "").encode()),
        commitment("rest", rest_salt, entry.rest()),
    )


def _fit(name: str, text: str) -> str:
    """Text from outside, as the column holds it."""
    clean = text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    return clean[: LONGEST[name]]


def _bounded(data: dict[str, Any]) -> dict[str, Any]:
    """Values as JSON gives them back; what is too long is left out, and that is said."""
    dumped = orjson.dumps(data, default=str)
    if len(dumped) > MOST_DATA:
        return {"left_out": f"{len(dumped)} bytes"}
    clean: dict[str, Any] = orjson.loads(dumped.replace(b"\\u0000", b"\\ufffd"))
    return clean
