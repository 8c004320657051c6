"""The store: SQLite by default, PostgreSQL by URL; migrated when it is opened."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine

from foreshock.logs import Condition, get_logger
from foreshock.store.engine import READING, make_engine, make_file, reason
from foreshock.store.migrate import newest_revision, upgrade
from foreshock.store.scope import OPTION, request_scope
from foreshock_models.errors import StoreError

__all__ = ["Store", "open_patiently", "open_store", "store_at", "store_condition"]

log = get_logger("store")


class Store:
    """Reads and writes; every method is one transaction, unless `connection` is given one."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.signer: Any = None
        """Signs checkpoints of the audit log, if this process may (see `foreshock.audit.signing`)."""

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction: all of it, or nothing."""
        try:
            with self._connect() as connection, connection.begin():
                yield connection
        except sa_exc.DBAPIError as exc:
            raise StoreError(f"{self.where}: {reason(exc)}") from exc
        if self.signer is not None:
            self.signer.committed()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads, and does not wait for writers."""
        try:
            with self._connect(**{READING: True}) as connection, connection.begin():
                yield connection
        except sa_exc.DBAPIError as exc:
            raise StoreError(f"{self.where}: {reason(exc)}") from exc

    def _connect(self, **options: Any) -> Connection:
        """A connection that sees the rows of the request at hand."""
        scope = request_scope.get()
        if scope is not None:
            options[OPTION] = scope
        connection = self.engine.connect()
        return connection.execution_options(**options) if options else connection

    def check(self) -> str:
        """Return the revision of the tables, without waiting for writers.

        Raises
        ------
        StoreError
            It cannot be reached or read.
        """
        try:
            with contextlib.closing(self.engine.raw_connection()) as connection:
                cursor = connection.cursor()
                cursor.execute("SELECT version_num FROM alembic_version")
                found = cursor.fetchall()
                cursor.close()
        except (sa_exc.DBAPIError, self.engine.dialect.loaded_dbapi.Error) as exc:
            raise StoreError(f"{self.where}: {reason(exc)}") from exc
        return str(found[0][0]) if found else "none"

    def revision(self) -> tuple[str, str]:
        """Revision of its tables, and that of this version of Foreshock; errors as of `check`."""
        return self.check(), newest_revision()

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
    store = store_at(url)
    make_file(store.engine)
    upgrade(store)
    return store


def store_at(url: str) -> Store:
    """A store as somebody else has opened it, which may be away just now; see `make_engine`."""
    return Store(make_engine(url))


def store_condition(logger: Any) -> Condition:
    """Log when a store goes away and when it is back."""
    return Condition(logger, "the store is away; trying again", "the store is back")


def open_patiently(url: str) -> Store:
    """As `open_store`, but waits for a database that is away: an actor that Ray restarts must not die of that."""
    pause, away = 0.5, store_condition(log)
    while True:
        try:
            store = open_store(url)
        except StoreError as exc:
            away.raised(str(exc))
            time.sleep(pause)
            pause = min(pause * 1.5, 10.0)
        else:
            away.cleared()
            return store
