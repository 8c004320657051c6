"""People, grants, tokens and sessions, in the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from foreshock.identity.model import ApiToken, Person, RoleGrant
from foreshock.store import team_tables as t
from foreshock.store.store import Store

__all__ = ["IdentityRepository"]


class IdentityRepository:
    """All SQL of identity. Names of people and digests of tokens are unique in the whole installation."""

    def __init__(self, store: Store) -> None:
        self.store = store

    # -- people ---------------------------------------------------------------------------------------------------
    def add_person(self, c: Connection, values: dict[str, Any]) -> None:
        c.execute(sa.insert(t.people).values(**values))

    def row_by_name(self, c: Connection, name: str, *, lock: bool = False) -> sa.RowMapping | None:
        """The row of a person, with what only logins need."""
        query = sa.select(t.people).where(t.people.c.name == name)
        return c.execute(query.with_for_update() if lock else query).mappings().one_or_none()

    def row(self, c: Connection, person: str, *, lock: bool = False) -> sa.RowMapping | None:
        query = sa.select(t.people).where(t.people.c.id == person)
        return c.execute(query.with_for_update() if lock else query).mappings().one_or_none()

    def row_by_external(self, c: Connection, external: str, *, lock: bool = False) -> sa.RowMapping | None:
        """The row of a person by the digest of who they are at a provider."""
        query = sa.select(t.people).where(t.people.c.external == external)
        return c.execute(query.with_for_update() if lock else query).mappings().one_or_none()

    def has_tenant(self, c: Connection, tenant: str) -> bool:
        query = sa.select(sa.literal(1)).where(sa.exists().where(t.tenants.c.name == tenant))
        return c.execute(query).scalar_one_or_none() is not None

    def person(self, c: Connection, row: sa.RowMapping) -> Person:
        """The record of a row."""
        return Person(
            row["id"], row["name"], row["tenant"], self.grants(c, row["id"], row["tenant"]), row["must_change"],
            row["second_factor_on"], row["created_ms"], row["disabled_ms"],
        )  # fmt: skip

    def people(self, c: Connection, tenant: str) -> list[Person]:
        query = sa.select(t.people).where(t.people.c.tenant == tenant).order_by(t.people.c.name)
        return [self.person(c, row) for row in c.execute(query).mappings().all()]

    def change_person(self, c: Connection, person: str, **values: Any) -> None:
        c.execute(sa.update(t.people).where(t.people.c.id == person).values(**values))

    def grants(self, c: Connection, person: str, tenant: str) -> tuple[RoleGrant, ...]:
        g = t.grants.c
        query = sa.select(g.role, g.jobs).where(g.person == person, g.tenant == tenant).order_by(g.role, g.jobs)
        return tuple(RoleGrant(*row) for row in c.execute(query))

    def set_grants(self, c: Connection, person: str, tenant: str, grants: Sequence[RoleGrant]) -> None:
        g = t.grants.c
        c.execute(sa.delete(t.grants).where(g.person == person, g.tenant == tenant))
        for one in dict.fromkeys(grants):
            c.execute(sa.insert(t.grants).values(tenant=tenant, person=person, role=one.role, jobs=one.jobs))

    def administrators(self, c: Connection, tenant: str) -> set[str]:
        """Ids of those who may sign in and administer all of a tenant."""
        g, p = t.grants.c, t.people.c
        query = (
            sa.select(g.person)
            .join(t.people, p.id == g.person)
            .where(g.tenant == tenant, g.role == "admin", g.jobs == "*", p.disabled_ms.is_(None))
            .with_for_update()
        )
        return set(c.execute(query).scalars())

    # -- sessions -------------------------------------------------------------------------------------------------
    def add_session(self, c: Connection, values: dict[str, Any]) -> None:
        c.execute(sa.insert(t.sessions).values(**values))

    def session(self, c: Connection, session: str, *, lock: bool = False) -> sa.RowMapping | None:
        query = sa.select(t.sessions).where(t.sessions.c.id == session)
        return c.execute(query.with_for_update() if lock else query).mappings().one_or_none()

    def session_by_cookie(self, c: Connection, digest: str) -> sa.RowMapping | None:
        query = sa.select(t.sessions).where(t.sessions.c.cookie == digest)
        return c.execute(query).mappings().one_or_none()

    def end_sessions(
        self, c: Connection, reason: str, now_ms: int, *, session: str = "", person: str = "", but: str = ""
    ) -> int:
        """Revoke one session, or those of a person but for one; gives how many."""
        s = t.sessions.c
        query = sa.update(t.sessions).where(s.revoked_ms.is_(None))
        query = query.where(s.id == session) if session else query.where(s.person == person, s.id != but)
        return int(c.execute(query.values(revoked_ms=now_ms, reason=reason)).rowcount)

    def use_session(self, c: Connection, session: str, now_ms: int) -> None:
        c.execute(sa.update(t.sessions).where(t.sessions.c.id == session).values(used_ms=now_ms))

    def add_refresh(self, c: Connection, digest: str, session: str, tenant: str, now_ms: int) -> None:
        values = {"digest": digest, "session": session, "tenant": tenant, "issued_ms": now_ms}
        c.execute(sa.insert(t.refresh_tokens).values(**values))

    def refresh(self, c: Connection, digest: str) -> sa.RowMapping | None:
        query = sa.select(t.refresh_tokens).where(t.refresh_tokens.c.digest == digest).with_for_update()
        return c.execute(query).mappings().one_or_none()

    def use_refresh(self, c: Connection, digest: str, now_ms: int) -> None:
        c.execute(sa.update(t.refresh_tokens).where(t.refresh_tokens.c.digest == digest).values(used_ms=now_ms))

    def drop_old_sessions(self, c: Connection, before_ms: int) -> int:
        """Take away sessions that ended long ago, with their refresh tokens, and failed logins; gives how many."""
        old = sa.select(t.sessions.c.id).where(t.sessions.c.expires_ms < before_ms)
        c.execute(sa.delete(t.refresh_tokens).where(t.refresh_tokens.c.session.in_(old)))
        c.execute(sa.delete(t.attempts).where(t.attempts.c.last_ms < before_ms))
        c.execute(sa.delete(t.sign_in_states).where(t.sign_in_states.c.expires_ms < before_ms))
        return int(c.execute(sa.delete(t.sessions).where(t.sessions.c.expires_ms < before_ms)).rowcount)

    # -- failed logins --------------------------------------------------------------------------------------------
    def attempts(self, c: Connection, key: str) -> tuple[int, int]:
        """Failures in a row, and the time until which no login is taken."""
        a = t.attempts.c
        row = c.execute(sa.select(a.failures, a.locked_ms).where(a.key == key).with_for_update()).one_or_none()
        return (0, 0) if row is None else (row.failures, row.locked_ms)

    def failed(self, c: Connection, key: str, failures: int, locked_ms: int, now_ms: int) -> None:
        values = {"failures": failures, "locked_ms": locked_ms, "last_ms": now_ms}
        insert = self.store.insert(t.attempts).values(key=key, **values)
        c.execute(insert.on_conflict_do_update(index_elements=["key"], set_=values))

    def forgive(self, c: Connection, key: str) -> None:
        c.execute(sa.delete(t.attempts).where(t.attempts.c.key == key))

    # -- states of single sign-on ---------------------------------------------------------------------------------
    def use_state(self, c: Connection, digest: str, expires_ms: int) -> bool:
        """Note that a state came back; False if it did so before."""
        insert = self.store.insert(t.sign_in_states).values(digest=digest, expires_ms=expires_ms)
        insert = insert.on_conflict_do_nothing(index_elements=["digest"]).returning(t.sign_in_states.c.digest)
        return c.execute(insert).first() is not None

    def drop_old_states(self, c: Connection, now_ms: int) -> None:
        c.execute(sa.delete(t.sign_in_states).where(t.sign_in_states.c.expires_ms < now_ms))

    # -- tokens of programs ---------------------------------------------------------------------------------------
    def add_token(self, c: Connection, values: dict[str, Any]) -> None:
        c.execute(sa.insert(t.api_tokens).values(**values))

    def token_by_digest(self, c: Connection, digest: str) -> ApiToken | None:
        query = sa.select(t.api_tokens).where(t.api_tokens.c.digest == digest)
        row = c.execute(query).mappings().one_or_none()
        return None if row is None else _token(row)

    def tokens(self, c: Connection, tenant: str) -> list[ApiToken]:
        query = sa.select(t.api_tokens).where(t.api_tokens.c.tenant == tenant).order_by(t.api_tokens.c.created_ms)
        return [_token(row) for row in c.execute(query).mappings()]

    def change_token(self, c: Connection, token: str, **values: Any) -> None:
        c.execute(sa.update(t.api_tokens).where(t.api_tokens.c.id == token).values(**values))


def _token(row: sa.RowMapping) -> ApiToken:
    return ApiToken(**{**{name: row[name] for name in ApiToken.__slots__}, "scopes": tuple(row["scopes"])})
