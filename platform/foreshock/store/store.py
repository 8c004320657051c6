"""The store: SQLite by default, PostgreSQL by URL; migrated when it is opened."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine, make_url

from foreshock.logs import get_logger
from foreshock.store.migrate import upgrade
from foreshock_models.errors import StoreError

__all__ = ["Store", "open_patiently", "open_store"]

log = get_logger("store")


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
