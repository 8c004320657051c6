"""The store: SQLite by default, PostgreSQL by URL; migrated when it is opened."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine, make_url

from foreshock.logs import get_logger
from foreshock.store import tables as t
from foreshock.store.migrate import upgrade
from foreshock_models.errors import StoreError, allowed

__all__ = ["LIVE", "Alert", "AlertKey", "Delivery", "Page", "ScorerState", "Store", "open_patiently", "open_store"]

log = get_logger("store")
LIVE = ("open", "acknowledged")
STATES = (*LIVE, "resolved")
KINDS = ("anomaly", "absent", "predicted", "notice")
PAGE = 500
"""Alerts read in one transaction where all are asked for."""
AlertKey = tuple[str, str, str]
"""Entity, kind and feature of an alert."""
SEVERITIES = ("info", "warning", "critical")


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert, as people and receivers see it. Times are ms since the epoch.

    There is one live alert per job, entity, kind and `feature`: the one feature that an ``absent`` or
    ``predicted`` alert is about, empty where it is about the entity as a whole. `announced`: receivers know of
    it; false while a silence has held it back since it opened.
    """

    id: str
    job: str
    entity: str
    labels: dict[str, str]
    kind: str
    state: str
    severity: str
    opened_ms: int
    updated_ms: int
    score: float
    peak: float
    summary: str
    causes: list[dict[str, Any]]
    resolved_ms: int | None = None
    version: str | None = None
    late: bool = False
    warming: bool = False
    feature: str = ""
    acknowledged_by: str | None = None
    resolved_by: str | None = None
    silenced_by: str | None = None
    announced: bool = True
    seq: int = 0

    @property
    def live(self) -> bool:
        return self.state in LIVE

    @property
    def key(self) -> AlertKey:
        """What it is about: never two live ones of a job."""
        return self.entity, self.kind, self.feature


@dataclass(frozen=True, slots=True)
class Page:
    """Alerts, the newest first, and where the next page begins (None: there is none)."""

    alerts: list[Alert]
    next: int | None


@dataclass(frozen=True, slots=True)
class ScorerState:
    """Where scoring of a job stands: model version, last scored time, and states as bytes.

    `revision` counts all changes, those by passes and those by people: a pass that began from another one than
    stands is refused, and begins anew.
    """

    version: str
    scored_ms: int
    model_state: bytes
    policy_state: bytes
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """Something in the outbox; `key` is the same at every attempt."""

    seq: int
    key: str
    notifier: str
    payload: dict[str, Any]
    attempts: int
    due_ms: int


class Store:
    """Reads and writes; every method is one transaction, unless `connection` is given one."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction: all of it, or nothing."""
        try:
            with self.engine.begin() as connection:
                yield connection
        except sa_exc.DBAPIError as exc:
            raise StoreError(f"{self.where}: {exc.orig}") from exc

    @property
    def where(self) -> str:
        """The file, or the URL without its password."""
        if self.engine.dialect.name == "sqlite":
            return str(self.engine.url.database)
        return self.engine.url.render_as_string(hide_password=True)

    def insert(self, table: sa.Table) -> Any:
        """An INSERT of this database that knows ON CONFLICT."""
        dialect = postgresql if self.engine.dialect.name == "postgresql" else sqlite
        return dialect.insert(table)

    def close(self) -> None:
        self.engine.dispose()

    # -- scoring ---------------------------------------------------------------------------------------
    def scorer(self, job: str, connection: Connection | None = None) -> ScorerState | None:
        """Where scoring of a job stands, or None before its first pass."""
        query = sa.select(t.scorers).where(t.scorers.c.job == job)
        if connection is not None:  # whoever reads it in a transaction will write it
            query = query.with_for_update()
        with self.use(connection) as c:
            row = c.execute(query).one_or_none()
        if row is None:
            return None
        return ScorerState(row.version, row.scored_ms, row.model_state, row.policy_state, row.revision)

    def save_scorer(self, c: Connection, job: str, state: ScorerState) -> None:
        values = {
            "version": state.version, "scored_ms": state.scored_ms,
            "model_state": state.model_state, "policy_state": state.policy_state, "revision": state.revision,
        }  # fmt: skip
        insert = self.insert(t.scorers).values(job=job, **values)
        c.execute(insert.on_conflict_do_update(index_elements=["job"], set_=values))

    def save_cursors(self, c: Connection, job: str, rows: Sequence[dict[str, Any]]) -> None:
        """Note entities: ``entity, first_ms, seen_ms, scored_ms, warming``."""
        if rows:
            insert = self.insert(t.cursors)
            update = {name: insert.excluded[name] for name in ("seen_ms", "scored_ms", "warming")}
            c.execute(
                insert.on_conflict_do_update(index_elements=["job", "entity"], set_=update),
                [{"job": job, **row} for row in rows],
            )

    def scored_jobs(self) -> list[str]:
        """Jobs that scoring has begun on."""
        with self.begin() as c:
            return list(c.execute(sa.select(t.scorers.c.job).order_by(t.scorers.c.job)).scalars())

    def entities(self, job: str) -> list[dict[str, Any]]:
        with self.begin() as c:
            found = c.execute(sa.select(t.cursors).where(t.cursors.c.job == job).order_by(t.cursors.c.entity))
            return [dict(row) for row in found.mappings()]

    def forget(self, c: Connection, job: str, entities: Sequence[str]) -> None:
        c.execute(sa.delete(t.cursors).where(t.cursors.c.job == job, t.cursors.c.entity.in_(entities)))

    # -- alerts ----------------------------------------------------------------------------------------
    def alert(self, alert_id: str, connection: Connection | None = None) -> Alert:
        """One alert; read in a transaction, nobody else changes it before that ends.

        Raises
        ------
        StoreError
            None of that id.
        """
        query = sa.select(t.alerts).where(t.alerts.c.id == alert_id)
        if connection is not None:
            query = query.with_for_update()
        with self.use(connection) as c:
            row = c.execute(query).mappings().one_or_none()
        if row is None:
            raise StoreError(f"no alert {alert_id!r}; see: foreshock alerts list")
        return Alert(**row)

    def alerts(
        self,
        *,
        job: str | None = None,
        entity: str | None = None,
        state: str | None = None,
        kind: str | None = None,
        severity: str | None = None,
        since_ms: int | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> Page:
        """Alerts, the newest first.

        Parameters
        ----------
        state
            A state, or ``live`` for open and acknowledged ones.
        since_ms
            Those that changed then or later.
        before
            `next` of the page before.
        """
        a = t.alerts.c
        query = sa.select(t.alerts).order_by(a.seq.desc()).limit(limit + 1)
        if state is not None:
            if state not in (*STATES, "live"):
                raise StoreError(f"no state {state!r}; {allowed(state, [*STATES, 'live'])}")
            query = query.where(t.LIVE_ROWS if state == "live" else a.state == state)
        for word, value, words in (("kind", kind, KINDS), ("severity", severity, SEVERITIES)):
            if value is not None and value not in words:
                raise StoreError(f"no {word} {value!r}; {allowed(value, words)}")
        for column, value in ((a.job, job), (a.entity, entity), (a.kind, kind), (a.severity, severity)):
            if value is not None:
                query = query.where(column == value)
        if since_ms is not None:
            lately = a.updated_ms >= since_ms
            if self.engine.dialect.name == "sqlite":  # it would read all of them for the order
                lately = a.seq.in_(sa.select(a.seq).where(lately))
            query = query.where(lately)
        if before is not None:
            query = query.where(a.seq < before)
        with self.begin() as c:
            found = [Alert(**row) for row in c.execute(query).mappings()]
        more = len(found) > limit
        return Page(found[:limit], found[limit - 1].seq if more else None)

    def live_alerts(self, job: str, connection: Connection | None = None) -> dict[AlertKey, Alert]:
        """Open and acknowledged alerts of a job by entity, kind and feature.

        Read in a transaction, they are locked: what a person does at the same time comes before or after it.
        """
        query = sa.select(t.alerts).where(t.alerts.c.job == job, t.LIVE_ROWS).order_by(t.alerts.c.seq)
        if connection is not None:
            query = query.with_for_update()
        with self.use(connection) as c:
            found = [Alert(**row) for row in c.execute(query).mappings()]
        return {alert.key: alert for alert in found}

    def announced_alerts(self, job: str, since_ms: int) -> Iterator[Alert]:
        """Alerts of a job that receivers know of: the live ones, and those resolved at `since_ms` or later.

        They are read in pages, so that no writer waits long.
        """
        a = t.alerts.c
        known = sa.select(t.alerts).where(a.job == job, a.announced == sa.true(), a.kind != "notice")
        for query in (known.where(t.LIVE_ROWS), known.where(a.resolved_ms >= since_ms, a.state == "resolved")):
            after = 0
            while True:
                with self.begin() as c:
                    page = c.execute(query.where(a.seq > after).order_by(a.seq).limit(PAGE)).mappings().all()
                yield from (Alert(**row) for row in page)
                if len(page) < PAGE:
                    break
                after = page[-1]["seq"]

    def last_resolved(self, c: Connection, job: str, entity: str, kind: str, feature: str = "") -> Alert | None:
        a = t.alerts.c
        query = (
            sa.select(t.alerts)
            .where(a.job == job, a.entity == entity, a.kind == kind, a.feature == feature, a.state == "resolved")
            .order_by(a.seq.desc())
            .limit(1)
        )
        row = c.execute(query).mappings().one_or_none()
        return Alert(**row) if row else None

    def save_alert(self, c: Connection, alert: Alert, *, event: str, at_ms: int, who: str, why: str) -> bool:
        """Write an alert with a line of its history.

        False, and nothing is written, if `event` opens it and it, or a live one of its key, is there already.
        """
        values = {name: getattr(alert, name) for name in Alert.__slots__ if name != "seq"}
        if event == "opened":
            insert = self.insert(t.alerts).values(**values).on_conflict_do_nothing()
            if c.execute(insert.returning(t.alerts.c.id)).first() is None:
                return False
        else:
            c.execute(sa.update(t.alerts).where(t.alerts.c.id == alert.id).values(**values))
        if event != "updated":
            self.note(alert.id, event, who=who, why=why, at_ms=at_ms, c=c)
        return True

    def mark(self, c: Connection, alert: Alert) -> None:
        """Write whether receivers know of an alert, and what silences it."""
        values = {"silenced_by": alert.silenced_by, "announced": alert.announced}
        c.execute(sa.update(t.alerts).where(t.alerts.c.id == alert.id).values(**values))

    def note(self, alert_id: str, event: str, *, who: str, why: str, at_ms: int, c: Connection) -> None:
        """Add a line to an alert's history."""
        c.execute(sa.insert(t.history).values(alert=alert_id, at_ms=at_ms, event=event, who=who, why=why))

    def history(self, alert_id: str) -> list[dict[str, Any]]:
        query = sa.select(t.history).where(t.history.c.alert == alert_id).order_by(t.history.c.seq)
        with self.begin() as c:
            return [dict(row) for row in c.execute(query).mappings()]

    # -- outbox ----------------------------------------------------------------------------------------
    def post(self, c: Connection, key: str, notifier: str, payload: dict[str, Any], due_ms: int) -> None:
        """Put something into the outbox, once for each `key`."""
        values = {"key": key, "notifier": notifier, "payload": payload, "due_ms": due_ms, "attempts": 0}
        insert = self.insert(t.outbox).values(**values)
        c.execute(insert.on_conflict_do_nothing(index_elements=["key"]))

    def waiting(self) -> list[str]:
        """Notifiers for which something is still to be sent."""
        query = sa.select(t.outbox.c.notifier).where(t.outbox.c.sent_ms.is_(None)).distinct()
        with self.begin() as c:
            return list(c.execute(query).scalars())

    def due(self, notifier: str, now_ms: int, *, after: int = 0, limit: int = 100) -> list[Delivery]:
        """What is to be sent to a notifier now, in the order in which it was posted, from behind `after` on."""
        o = t.outbox.c
        query = (
            sa.select(o.seq, o.key, o.notifier, o.payload, o.attempts, o.due_ms)
            .where(o.sent_ms.is_(None), o.notifier == notifier, o.due_ms <= now_ms, o.seq > after)
            .order_by(o.seq)
            .limit(limit)
        )
        with self.begin() as c:
            return [Delivery(*row) for row in c.execute(query)]

    def postponed(self, notifier: str, now_ms: int) -> list[str]:
        """Keys of what is to be sent to a notifier later than now."""
        o = t.outbox.c
        query = sa.select(o.key).where(o.sent_ms.is_(None), o.notifier == notifier, o.due_ms > now_ms)
        with self.begin() as c:
            return list(c.execute(query).scalars())

    def unsent(self, notifier: str | None = None, limit: int = 200) -> list[Delivery]:
        """What is still to be sent, to a notifier or to all, in the order in which it was posted."""
        o = t.outbox.c
        query = sa.select(o.seq, o.key, o.notifier, o.payload, o.attempts, o.due_ms)
        query = query.where(o.sent_ms.is_(None)).order_by(o.seq).limit(limit)
        if notifier is not None:
            query = query.where(o.notifier == notifier)
        with self.begin() as c:
            return [Delivery(*row) for row in c.execute(query)]

    def settle(self, c: Connection, seq: int, now_ms: int, error: str | None = None) -> None:
        """Nothing more is to be done about an entry: it was sent, or, with an error, given up."""
        c.execute(sa.update(t.outbox).where(t.outbox.c.seq == seq).values(sent_ms=now_ms, error=error))

    def not_sent(self, c: Connection, seq: int, error: str, due_ms: int) -> None:
        """Note a failed attempt, unless another process has sent the entry meanwhile."""
        o = t.outbox
        values = {"attempts": o.c.attempts + 1, "error": error, "due_ms": due_ms}
        c.execute(sa.update(o).where(o.c.seq == seq, o.c.sent_ms.is_(None)).values(values))

    def undelivered(self) -> int:
        with self.begin() as c:
            return int(c.execute(sa.select(sa.func.count()).where(t.outbox.c.sent_ms.is_(None))).scalar_one())

    @contextmanager
    def use(self, connection: Connection | None) -> Iterator[Connection]:
        """The transaction at hand, or one of its own."""
        if connection is not None:
            yield connection
        else:
            with self.begin() as c:
                yield c


def open_store(url: str) -> Store:
    """Open a store, making or migrating its tables.

    Parameters
    ----------
    url
        SQLAlchemy URL: ``sqlite:///path``, ``postgresql+psycopg://user@host/database``.

    Raises
    ------
    StoreError
        It cannot be reached, or is of a newer version.
    """
    try:
        parsed = make_url(url)
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.get_backend_name() == "sqlite" and parsed.database not in (None, "", ":memory:"):
            _make_file(Path(str(parsed.database)))
        engine = sa.create_engine(parsed, pool_pre_ping=True)
    except OSError as exc:
        raise StoreError(
            f"{exc.filename}: the store cannot be made there: {exc.strerror}; see FORESHOCK_HOME and "
            "FORESHOCK_STORE_URL"
        ) from exc
    except (sa_exc.ArgumentError, ImportError) as exc:
        raise StoreError(f"FORESHOCK_STORE_URL: cannot be used: {exc}") from exc
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _tune_sqlite)
        sa.event.listen(engine, "begin", _begin_immediate)
    elif engine.dialect.name != "postgresql":
        raise StoreError(f"FORESHOCK_STORE_URL: {engine.dialect.name} cannot be used; allowed: sqlite, postgresql")
    store = Store(engine)
    upgrade(store)
    return store


def _make_file(path: Path) -> None:
    """Make the file of a database, or take away what others may do with it; SQLite gives its mode to -wal and -shm.

    Raises
    ------
    OSError
        It cannot be made.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        file = path.with_name(name)
        with suppress(FileNotFoundError):
            found = file.stat()
            if found.st_mode & 0o077 and found.st_uid == os.getuid():
                file.chmod(0o600)


def open_patiently(url: str) -> Store:
    """As `open_store`, but waits for a database that is away: an actor that Ray restarts must not die of that."""
    pause = 0.5
    while True:
        try:
            return open_store(url)
        except StoreError as exc:
            log.warning("store not reachable; waiting for it", error=str(exc))
            time.sleep(pause)
            pause = min(pause * 1.5, 10.0)


def _tune_sqlite(connection: Any, _: Any) -> None:
    """Readers beside a writer; a second writer waits; the transaction is begun by `_begin_immediate`."""
    connection.isolation_level = None
    for pragma in ("busy_timeout=20000", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()
    for attempt in range(100):
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
            return
        except sqlite3.OperationalError:  # two that open a new file at once: SQLite does not wait for this one
            if attempt == 99:
                raise
            time.sleep(0.05)


def _begin_immediate(connection: Connection) -> None:
    # a transaction that reads and then writes would fail, not wait, when another one wrote between
    connection.exec_driver_sql("BEGIN IMMEDIATE")
