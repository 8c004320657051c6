"""Use cases of tenants: create, list, export, delete. Deletion leaves nothing of a tenant behind."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from foreshock.audit import record
from foreshock.audit.witness import Witness
from foreshock.identity.people import People
from foreshock.store import team_tables as t
from foreshock.store.store import Store
from foreshock.store.tables import metadata
from foreshock_models.errors import ConfigError, StateError, StoreError, allowed

__all__ = ["Tenants"]

NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
SECRET = {"password", "second_factor", "recovery", "digest", "private"}
"""Columns that an export leaves out."""


class Tenants:
    """All tenants of an installation."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def all(self) -> list[dict[str, Any]]:
        """Name, age, and numbers of people and jobs of each."""
        people = sa.select(sa.func.count()).where(t.people.c.tenant == t.tenants.c.name).scalar_subquery()
        query = sa.select(t.tenants, people.label("people")).order_by(t.tenants.c.name)
        with self.store.read() as c:
            return [dict(row) for row in c.execute(query).mappings()]

    def create(self, name: str, administrator: str) -> str:
        """Make a tenant with its administrator; gives the password for their first login.

        Raises
        ------
        ConfigError
            A wrong name.
        StateError
            It, or somebody of that name, is there already.
        """
        if not NAME.fullmatch(name):
            raise ConfigError(f"{name[:200]!r} is no name of a tenant; use letters, digits, - and _, as in acme")
        with self.store.begin() as c:
            if c.execute(sa.select(t.tenants).where(t.tenants.c.name == name)).first() is not None:
                raise StateError(f"there is a tenant {name!r} already")
            c.execute(sa.insert(t.tenants).values(name=name, created_ms=round(time.time() * 1000)))
            record(self.store, c, "tenants:create", name, tenant=name)
            record(self.store, c, "tenants:create", _pseudonym(name), tenant=t.DEFAULT_TENANT)
        try:
            return People(self.store, name).add(administrator, "admin")[1]
        except (ConfigError, StateError):
            self.delete(name)
            raise

    def export(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield every row of a tenant, without secrets, as JSON values."""
        self.check(name)
        with self.store.begin() as c:
            record(self.store, c, "tenants:export", name, tenant=name)
        with self.store.read() as c:
            for table in _tables():
                columns = [column for column in table.columns if column.name not in SECRET]
                query = sa.select(*columns).where(table.c.tenant == name)
                with c.execute(query, execution_options={"yield_per": 1000}) as rows:
                    for row in rows.mappings():
                        yield {"table": table.name, "row": {key: _plain(value) for key, value in row.items()}}

    def delete(self, name: str, witness: Witness | None = None) -> dict[str, int]:
        """Delete a tenant with all that it has, its audit log included; gives how many rows of which table.

        That it was deleted stays in the log of the tenant `default`, under a pseudonym.

        Raises
        ------
        StateError
            It is the tenant ``default``, which an installation always has.
        """
        self.check(name)
        if name == t.DEFAULT_TENANT:
            raise StateError("the tenant 'default' stays; delete the store to be rid of all")
        gone: dict[str, int] = {}
        with self.store.begin() as c:
            if self.store.engine.dialect.name == "sqlite":
                c.exec_driver_sql("PRAGMA secure_delete=ON")
            c.execute(sa.insert(t.erasures).values(tenant=name, began_ms=round(time.time() * 1000)))
            names = c.execute(sa.select(t.people.c.name).where(t.people.c.tenant == name)).scalars()
            keys = [hashlib.sha256(person.encode()).hexdigest() for person in names]
            c.execute(sa.delete(t.attempts).where(t.attempts.c.key.in_(keys)))
            for table in _tables():
                if table is not t.erasures:
                    gone[table.name] = c.execute(sa.delete(table).where(table.c.tenant == name)).rowcount
            c.execute(sa.delete(t.erasures).where(t.erasures.c.tenant == name))
            c.execute(sa.delete(t.tenants).where(t.tenants.c.name == name))
            rows = sum(gone.values())
            record(self.store, c, "tenants:delete", _pseudonym(name), tenant=t.DEFAULT_TENANT, rows=rows)
        self._wipe()
        if witness is not None:
            witness.forget(name)
        return {table: rows for table, rows in gone.items() if rows}

    def check(self, name: str) -> None:
        """Raise StoreError if there is no tenant of that name."""
        known = [row["name"] for row in self.all()]
        if name not in known:
            raise StoreError(f"no tenant {name[:200]!r}; {allowed(name, known)}")

    def _wipe(self) -> None:
        """Let the database give back the space of deleted rows, so that their bytes are nowhere."""
        options = {"isolation_level": "AUTOCOMMIT"}
        if self.store.engine.dialect.name == "sqlite":
            raw = self.store.engine.raw_connection()
            try:
                raw.cursor().execute("VACUUM")
                raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                raw.close()
            return
        with self.store.engine.connect().execution_options(**options) as c:
            for table in _tables():
                c.exec_driver_sql(f"VACUUM {table.name}")


def _tables() -> list[sa.Table]:
    return [table for table in metadata.sorted_tables if "tenant" in table.c]


def _pseudonym(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value
