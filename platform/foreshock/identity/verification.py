"""The principal of a request, by what it carries; remembered for a moment, so that it costs next to nothing."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable

import sqlalchemy as sa

from foreshock.identity.access_tokens import AccessTokens
from foreshock.identity.model import ApiToken, Grant, Principal, RoleGrant, everything, granted
from foreshock.identity.repository import IdentityRepository
from foreshock.identity.sessions import IDLE_MS
from foreshock.identity.tokens import PREFIX, token_digest
from foreshock.store.store import Store
from foreshock_models.errors import AccessError, StoreError

__all__ = ["REMEMBERED", "Verifier", "bearer", "cookie_key"]

REMEMBERED = 3.0
"""Seconds that a token counts as good without being looked up; revocation takes as long."""
MOST = 10_000
SEND = "send 'Authorization: Bearer TOKEN' with an API token, or one of /auth/login"
HOUR_MS = 3_600_000
COOKIE = "\0"
"""Begins the key of a cookie: no header can have it."""
USE_MS = 600_000
"""Uses of a cookie are noted at most so often."""


class Verifier:
    """Tells who a bearer token is of.

    Parameters
    ----------
    digest
        SHA-256 of the token of the installation, which is good without the store.
    store, access
        None: no other token is known.
    """

    def __init__(
        self,
        digest: str,
        store: Store | None = None,
        access: AccessTokens | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._digest = digest
        self._store, self._access, self._clock = store, access, clock
        self._known: dict[str, tuple[float, Principal]] = {}

    def known(self, key: str | None) -> Principal | None:
        """Return who an ``Authorization`` header or a `cookie_key` is of, if it was looked up a moment ago."""
        if key is None:
            return None
        found = self._known.get(key)
        return found[1] if found is not None and time.monotonic() < found[0] else None

    def forget(self) -> None:
        """Look everybody up again: something was revoked here."""
        self._known.clear()

    def identify(self, key: str | None) -> Principal:
        """Return who an ``Authorization`` header or a `cookie_key` is of; looked up as by `verify`, if need be."""
        found = self.known(key)
        if found is not None:
            return found
        return self.verify_cookie(key[1:]) if key is not None and key.startswith(COOKIE) else self.verify(key)

    def verify(self, authorization: str | None) -> Principal:
        """Return who an ``Authorization`` header is of; may ask the store.

        Raises
        ------
        AccessError
            It is of nobody, or no longer good.
        StoreError
            The store does not answer.
        """
        found = self.principal(bearer(authorization))
        if authorization is not None:
            self._remember(authorization, found)
        return found

    def verify_cookie(self, value: str) -> Principal:
        """Return who the cookie of a browser is of; errors as `verify`."""
        if self._store is None:
            raise AccessError(SEND)
        kept = IdentityRepository(self._store)
        with self._store.read() as c:
            session = kept.session_by_cookie(c, token_digest(value))
            row = None if session is None else kept.row(c, session["person"])
            grants = () if session is None else kept.grants(c, session["person"], session["tenant"])
        found = self._of_session(session, row, grants)
        if session is not None and session["used_ms"] < self._now_ms() - USE_MS:
            self._note_session(self._store, session["id"])
        self._remember(cookie_key(value), found)
        return found

    def _remember(self, key: str, found: Principal) -> None:
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[key] = time.monotonic() + REMEMBERED, found

    def principal(self, token: str | None) -> Principal:
        """Return who a token is of; errors as `verify`."""
        if token is None:
            raise AccessError(SEND)
        if hmac.compare_digest(token_digest(token), self._digest):
            return everything("installation", "api-token")
        if self._store is None or self._access is None:
            raise AccessError(SEND)
        if token.startswith(PREFIX):
            return self._program(self._store, token)
        if token.count(".") == 2:
            return self._person(self._store, self._access, token)
        raise AccessError(f"the token is not one of this installation; {SEND}")

    def _program(self, store: Store, token: str) -> Principal:
        kept = IdentityRepository(store)
        with store.read() as c:
            found = kept.token_by_digest(c, token_digest(token))
        now_ms = self._now_ms()
        if found is None or found.revoked_ms is not None or found.expires_ms <= now_ms:
            raise AccessError("the token is unknown, was revoked, or has expired; ask for another one")
        if found.used_ms is None or found.used_ms < now_ms - HOUR_MS:
            self._note_use(store, found, now_ms)
        grant = Grant(frozenset(found.scopes), found.jobs)
        return Principal("token", found.id, found.name, found.tenant, (grant,))

    def _person(self, store: Store, access: AccessTokens, token: str) -> Principal:
        claims = access.verify(token)
        kept = IdentityRepository(store)
        with store.read() as c:
            session = kept.session(c, claims.session)
            row = kept.row(c, claims.person)
            grants = kept.grants(c, claims.person, claims.tenant)
        found = self._of_session(session, row, grants)
        if session is None or session["person"] != found.id or session["tenant"] != claims.tenant:
            raise AccessError("the access token is not one of this installation")
        return found

    def _of_session(
        self, session: sa.RowMapping | None, row: sa.RowMapping | None, grants: tuple[RoleGrant, ...]
    ) -> Principal:
        if session is None or row is None or not self._alive(session, row):
            raise AccessError("the session is over; sign in again")
        must_change, tenant = bool(row["must_change"]), session["tenant"]
        may = () if must_change else granted(grants, tenant)
        return Principal("person", row["id"], row["name"], tenant, may, session["id"], must_change)

    def _alive(self, session: sa.RowMapping, row: sa.RowMapping) -> bool:
        now_ms = self._now_ms()
        over = session["revoked_ms"] is not None or row["disabled_ms"] is not None
        return not over and now_ms < min(session["expires_ms"], session["used_ms"] + IDLE_MS)

    def _note_session(self, store: Store, session: str) -> None:
        try:
            with store.begin() as c:
                IdentityRepository(store).use_session(c, session, self._now_ms())
        except StoreError:  # a busy store: the next request notes it
            return

    def _note_use(self, store: Store, token: ApiToken, now_ms: int) -> None:
        try:
            with store.begin() as c:
                IdentityRepository(store).change_token(c, token.id, used_ms=now_ms)
        except StoreError:  # a busy store: the next request notes it
            return

    def _now_ms(self) -> int:
        return round(self._clock() * 1000)


def cookie_key(value: str) -> str:
    """Return what a cookie is remembered by."""
    return f"{COOKIE}{value}"


def bearer(authorization: str | None) -> str | None:
    """Return the token of an ``Authorization`` header, if it has one."""
    scheme, _, rest = (authorization or "").partition(" ")
    token = rest.strip(" \t")
    return token if scheme.lower() == "bearer" and token else None
