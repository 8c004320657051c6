"""Connections to the store's database: SQLite by default, PostgreSQL by URL."""

from __future__ import annotations

import functools
import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc
from sqlalchemy.engine import URL, Connection, Engine, make_url

from foreshock.store.scope import narrow
from foreshock_models.errors import StoreError

__all__ = ["READING", "make_engine", "make_file", "reason"]

READING = "foreshock_reading"
"""Execution option of a connection that writes nothing, and so waits for no writer."""

POOL_SIZE = "pool_size"
"""Option in the URL: connections that a process keeps."""
POSTGRES = {
    "connect_timeout": 10, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}  # fmt: skip
"""Options of libpq, unless the URL has its own: one that is gone without a word is noticed, too."""


def make_engine(url: str) -> Engine:
    """Make the engine of a store; nothing is read or written yet.

    Parameters
    ----------
    url
        SQLAlchemy URL: ``sqlite:///path``, ``postgresql+psycopg://user@host/database``.

    Raises
    ------
    StoreError
        The URL cannot be used.
    """
    try:
        parsed = make_url(url)
        if parsed.drivername in ("postgresql", "postgres"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        name = parsed.get_backend_name()
        if name not in ("sqlite", "postgresql"):
            raise StoreError(f"FORESHOCK_STORE_URL: {name} cannot be used; allowed: sqlite, postgresql")
        if "\0" in str(parsed.database):
            raise ValueError("a NUL in the name of the file")
        engine = _sqlite(parsed) if name == "sqlite" else _postgresql(parsed)
        narrow(engine)
        return engine
    except (sa_exc.NoSuchModuleError, ImportError) as exc:
        raise StoreError(f"FORESHOCK_STORE_URL: cannot be used: {exc}") from exc
    except (sa_exc.ArgumentError, ValueError):  # their texts may quote the password
        raise StoreError(
            "FORESHOCK_STORE_URL: not the URL of a database; write sqlite:////path/of/file.db or "
            "postgresql://USER:PASSWORD@HOST:5432/DATABASE, signs in the password as %XX"
        ) from None


def make_file(engine: Engine) -> None:
    """Make the file of a SQLite database, or take away what others may do with it.

    SQLite gives the mode of the file to those beside it, ``-wal`` and ``-shm``.

    Raises
    ------
    StoreError
        It cannot be made.
    """
    path = _path(engine.url)
    if path is None:
        return
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
            file = path.with_name(name)
            with suppress(FileNotFoundError):
                found = file.stat()
                if found.st_mode & 0o077 and found.st_uid == os.getuid():
                    file.chmod(0o600)
    except OSError as exc:
        raise StoreError(
            f"{exc.filename or path}: the store cannot be made there: {exc.strerror or exc}; "
            "see FORESHOCK_HOME and FORESHOCK_STORE_URL"
        ) from exc


def reason(exc: Exception) -> str:
    """Return the driver's message on one line."""
    return " ".join(str(getattr(exc, "orig", None) or exc).split())


def _path(url: URL) -> Path | None:
    """The file of a SQLite database; None for one in memory, and for PostgreSQL."""
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return None
    return Path(str(url.database))


def _postgresql(url: URL) -> Engine:
    options = {name: value for name, value in POSTGRES.items() if name not in url.query}
    size = url.query.get(POOL_SIZE, "5")
    if not (isinstance(size, str) and size.isdecimal() and 1 <= int(size) <= 1000):
        raise StoreError(f"FORESHOCK_STORE_URL: pool_size={size!r} cannot be used; allowed: 1 to 1000")
    url = url.difference_update_query([POOL_SIZE])
    return sa.create_engine(
        url, pool_pre_ping=True, pool_size=int(size), max_overflow=max(10, int(size)), connect_args=options
    )


def _sqlite(url: URL) -> Engine:
    path = _path(url)
    if path is None:
        engine = sa.create_engine(url)
    else:
        engine = sa.create_engine(url, creator=functools.partial(_connect, path))
        sa.event.listen(engine, "checkout", _SameFile(path))
    sa.event.listen(engine, "connect", _tune)
    sa.event.listen(engine, "begin", _begin_immediate)
    return engine


def _connect(path: Path) -> sqlite3.Connection:
    """Connect to a file that is there: SQLite would make an empty one in place of one that was removed."""
    return sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, check_same_thread=False)


class _SameFile:
    """Refuses to use a file that is not the one that was used first: what is written there is lost, or mixed up."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.used: tuple[int, int] | None = None

    def __call__(self, *_: Any) -> None:
        try:
            found = self.path.stat()
        except OSError as exc:
            raise StoreError(f"{self.path}: the file of the store cannot be found: {exc.strerror or exc}") from exc
        self.used = self.used or (found.st_dev, found.st_ino)
        if self.used != (found.st_dev, found.st_ino):
            raise StoreError(
                f"{self.path}: the file of the store was replaced while it is in use; put it back, or stop "
                "Foreshock first"
            )


def _tune(connection: Any, _: Any) -> None:
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
    reading = connection.get_execution_options().get(READING, False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
