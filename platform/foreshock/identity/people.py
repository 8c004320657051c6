"""Use cases of people: add, change roles, disable, reset. Each is one transaction, with its audit entry."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from foreshock.audit import record
from foreshock.identity.model import ALL_JOBS, Person, RoleGrant, check_jobs, check_name
from foreshock.identity.passwords import hash_password, made_password
from foreshock.identity.permissions import check_role
from foreshock.identity.repository import IdentityRepository
from foreshock.store import team_tables as t
from foreshock.store.store import Store
from foreshock_models.errors import StateError, StoreError

__all__ = ["ADMINISTRATOR", "People"]

ADMINISTRATOR = "admin"
LOCK = 7_351_003


class People:
    """People of one tenant."""

    def __init__(self, store: Store, tenant: str = t.DEFAULT_TENANT) -> None:
        self.store = store
        self.tenant = tenant
        self._kept = IdentityRepository(store)

    def all(self) -> list[Person]:
        with self.store.read() as c:
            return self._kept.people(c, self.tenant)

    def get(self, name: str) -> Person:
        """One person by name; StoreError if there is none."""
        with self.store.read() as c:
            return self._kept.person(c, self._row(c, name, lock=False))

    def first_administrator(self) -> str | None:
        """Make an administrator if there is nobody yet; gives the password, which is nowhere else."""
        with self.store.begin() as c:
            if self.store.engine.dialect.name == "postgresql":  # two processes that start at once
                c.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
            if c.execute(sa.select(sa.func.count()).select_from(t.people)).scalar_one():
                return None
            return self._add(c, ADMINISTRATOR, [RoleGrant("admin")], None)[1]

    def add(
        self, name: str, role: str = "viewer", jobs: str = ALL_JOBS, password: str | None = None
    ) -> tuple[Person, str]:
        """Add a person; gives them, and the password, made here unless one is given.

        Raises
        ------
        StateError
            Somebody has that name.
        """
        grant = RoleGrant(check_role(role), check_jobs(jobs))
        with self.store.begin() as c:
            return self._add(c, check_name(name), [grant], password)

    def set_roles(self, name: str, grants: Sequence[RoleGrant]) -> Person:
        """Give a person these roles and no others.

        Raises
        ------
        StateError
            The last administrator would be one no more.
        """
        for grant in grants:
            check_role(grant.role)
            check_jobs(grant.jobs)
        with self.store.begin() as c:
            row = self._row(c, name)
            if row["external"] is not None:
                raise StateError(
                    f"{row['name']} signs in by single sign-on: roles come from groups of the provider"
                )
            self._kept.set_grants(c, row["id"], self.tenant, grants)
            self._check_administrators(c)
            roles = [f"{grant.role} for {grant.jobs}" for grant in grants]
            record(self.store, c, "users:grant", row["name"], roles=roles, tenant=self.tenant)
            return self._kept.person(c, row)

    def disable(self, name: str) -> Person:
        """Let a person sign in no more, and end what they are signed in with."""
        with self.store.begin() as c:
            row = self._row(c, name)
            now_ms = _now_ms()
            self._kept.change_person(c, row["id"], disabled_ms=row["disabled_ms"] or now_ms)
            self._kept.end_sessions(c, "disabled", now_ms, person=row["id"])
            self._check_administrators(c)
            record(self.store, c, "users:disable", row["name"], tenant=self.tenant)
            return self._kept.person(c, self._row(c, name))

    def enable(self, name: str) -> Person:
        with self.store.begin() as c:
            row = self._row(c, name)
            self._kept.change_person(c, row["id"], disabled_ms=None)
            record(self.store, c, "users:enable", row["name"], tenant=self.tenant)
            return self._kept.person(c, self._row(c, name))

    def reset(self, name: str, *, second_factor: bool = False) -> str:
        """Give a person another password, to be changed at the next login, and end their sessions.

        Parameters
        ----------
        second_factor
            Take the second factor away, too: the device and the recovery codes are lost.
        """
        password = made_password()
        hashed = hash_password(password)
        with self.store.begin() as c:
            row = self._row(c, name)
            if row["external"] is not None:
                raise StateError(f"{row['name']} signs in by single sign-on, and has no password here")
            self._kept.change_person(c, row["id"], password=hashed, must_change=True)
            if second_factor:
                self._kept.change_person(c, row["id"], second_factor=None, second_factor_on=False, recovery=[])
            self._kept.end_sessions(c, "password reset", _now_ms(), person=row["id"])
            record(self.store, c, "users:reset", row["name"], second_factor=second_factor, tenant=self.tenant)
        return password

    def _add(self, c: Connection, name: str, grants: list[RoleGrant], password: str | None) -> tuple[Person, str]:
        if self._kept.row_by_name(c, name) is not None:
            raise StateError(f"there is somebody called {name!r} already; choose another name")
        given = password or made_password()
        values = {
            "id": uuid.uuid4().hex[:16], "tenant": self.tenant, "name": name, "password": hash_password(given),
            "must_change": True, "recovery": [], "created_ms": _now_ms(),
        }  # fmt: skip
        self._kept.add_person(c, values)
        self._kept.set_grants(c, str(values["id"]), self.tenant, grants)
        record(
            self.store,
            c,
            "users:add",
            name,
            roles=[f"{grant.role} for {grant.jobs}" for grant in grants],
            tenant=self.tenant,
        )
        return self._kept.person(c, self._row(c, name)), given

    def _row(self, c: Connection, name: str, *, lock: bool = True) -> sa.RowMapping:
        row = self._kept.row_by_name(c, name.strip().lower()[:200], lock=lock)
        if row is None or row["tenant"] != self.tenant:
            raise StoreError(f"no person {name[:200]!r}; see: foreshock users list")
        return row

    def _check_administrators(self, c: Connection) -> None:
        if not self._kept.administrators(c, self.tenant):
            raise StateError("somebody must stay who administers; make another administrator first")


def _now_ms() -> int:
    return round(time.time() * 1000)
