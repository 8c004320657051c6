"""Use cases of who signs in: login, refresh, logout, password, second factor."""

from __future__ import annotations

import hashlib
import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from foreshock.audit import Actor, record
from foreshock.identity import second_factor
from foreshock.identity.access_tokens import LIFETIME, AccessTokens
from foreshock.identity.model import Person
from foreshock.identity.passwords import check_password, hash_password, password_matches
from foreshock.identity.repository import IdentityRepository
from foreshock.secrets import Keyring, seal, unseal
from foreshock.secrets.resealing import hold_keys
from foreshock.store.store import Store
from foreshock_models.errors import AccessError, ConfigError, StateError

__all__ = ["CodeNeeded", "Sessions", "SignedIn"]

IDLE_MS = 7 * 86_400_000
LONGEST = timedelta(days=30)
FREE_FAILURES = 5
"""Failures in a row before the first pause; each one more doubles it."""
SHORTEST_LOCK_MS, LONGEST_LOCK_MS = 2_000, 15 * 60_000
WRONG = "name, password or code is wrong, or too many attempts failed; wait a while and try again"
OVER = "the session is over; sign in again"
EXTERNAL = "this person signs in by single sign-on; password and second factor are the provider's"


class CodeNeeded(AccessError):
    """The password is right, and a code of the second factor is needed, too."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session, with its tokens, of which the refresh token is good once; or, of a browser, with its cookie."""

    person: Person
    session: str
    access_token: str = ""
    refresh_token: str = ""
    cookie: str = ""
    expires_in: int = LIFETIME


class Sessions:
    """Signs people in and out.

    Parameters
    ----------
    access
        Signs access tokens.
    ring
        Opens the secrets of second factors.
    """

    def __init__(
        self,
        store: Store,
        access: AccessTokens,
        ring: Callable[[], Keyring],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self._access, self._ring, self._clock = access, ring, clock
        self._kept = IdentityRepository(store)

    # -- login, refresh, logout -----------------------------------------------------------------------------------
    def login(
        self, name: str, password: str, code: str | None = None, address: str = "", *, cookie: bool = False
    ) -> SignedIn:
        """Sign a person in, by tokens or, in a browser, by a cookie.

        Whether the name, the password or the code was wrong, or the name is locked, the answer is the same, and
        takes as long.

        Raises
        ------
        AccessError
            It was refused.
        CodeNeeded
            The password is right, and a second factor is on.
        """
        name = name.strip().lower()[:128]
        key = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()
        with self.store.read() as c:
            found = self._kept.row_by_name(c, name)
        hashed = None if found is None else found["password"]
        right = password_matches(password, hashed)  # outside of a transaction: it takes a while
        needs_code = refused = False
        signed_in: SignedIn | None = None
        with self.store.begin() as c:
            row = self._kept.row_by_name(c, name, lock=True)
            failures, locked_ms = self._kept.attempts(c, key)
            now_ms = self._now_ms()
            known = row is not None and row["disabled_ms"] is None and row["password"] == hashed
            if not right or row is None or not known or locked_ms > now_ms:
                refused = True
            elif row["second_factor_on"] and code is None:
                needs_code = True
            elif row["second_factor_on"] and not self._code_is_right(c, row, code or ""):
                refused = True
            actor = Actor(name if found is not None else "unknown", "person", address)
            tenant = None if found is None else found["tenant"]
            if refused:
                if locked_ms <= now_ms:  # who tries while it is locked does not lock it for longer
                    self._kept.failed(c, key, failures + 1, now_ms + _lock_ms(failures + 1), now_ms)
                record(self.store, c, "auth:login", outcome="refused", actor=actor, tenant=tenant)
            elif not needs_code and row is not None:
                self._kept.forgive(c, key)
                signed_in = self.begin(c, row, now_ms, cookie=cookie)
                record(self.store, c, "auth:login", signed_in.session, actor=actor, tenant=tenant)
        if needs_code:
            raise CodeNeeded("a code of the second factor is needed; send it as code")
        if signed_in is None:
            raise AccessError(WRONG)
        return signed_in

    def refresh(self, token: str, address: str = "") -> SignedIn:
        """Give new tokens for a refresh token, which is good once; used twice, it ends the session.

        Raises
        ------
        AccessError
            The session is over.
        """
        digest = _digest(token)
        signed_in: SignedIn | None = None
        with self.store.begin() as c:
            found = self._kept.refresh(c, digest)
            session = None if found is None else self._kept.session(c, found["session"], lock=True)
            row = None if session is None else self._kept.row(c, session["person"])
            now_ms = self._now_ms()
            if found is not None and session is not None and row is not None and self._alive(session, row, now_ms):
                actor = Actor(row["name"], "person", address)
                if found["used_ms"] is not None:
                    self._kept.end_sessions(c, "refresh token used twice", now_ms, session=session["id"])
                    record(
                        self.store, c, "auth:reuse", session["id"], outcome="refused", actor=actor,
                        tenant=row["tenant"],
                    )  # fmt: skip
                else:
                    self._kept.use_refresh(c, digest, now_ms)
                    self._kept.use_session(c, session["id"], now_ms)
                    signed_in = self._tokens(c, row, session["id"], now_ms)
        if signed_in is None:
            raise AccessError(OVER)
        return signed_in

    def logout(self, session: str) -> None:
        """End a session; its tokens are good no more."""
        with self.store.begin() as c:
            self._kept.end_sessions(c, "logout", self._now_ms(), session=session)
            record(self.store, c, "auth:logout", session)

    # -- password and second factor -------------------------------------------------------------------------------
    def change_password(self, person: str, session: str, old: str, new: str) -> None:
        """Change the password of a person; their other sessions end.

        Raises
        ------
        AccessError
            The old one is wrong.
        ConfigError
            The new one is too easy, or the old one.
        """
        row = self._checked(person, old, "auth:password")
        if new == old:
            raise ConfigError("the new password is the old one; choose another")
        hashed = hash_password(check_password(new, row["name"]))
        with self.store.begin() as c:
            self._kept.change_person(c, person, password=hashed, must_change=False)
            self._kept.end_sessions(c, "password changed", self._now_ms(), person=person, but=session)
            record(self.store, c, "auth:password", row["name"])

    def begin_second_factor(self, person: str, password: str) -> tuple[str, str]:
        """Make a secret for an authenticator app, to be confirmed by a code; gives it, and its URI.

        Raises
        ------
        StateError
            A second factor is on already.
        """
        row = self._checked(person, password, "auth:second-factor")
        if row["second_factor_on"]:
            raise StateError("a second factor is on already; take it away first")
        secret = second_factor.made_secret()
        with self.store.begin() as c:
            hold_keys(self.store, c)
            sealed = seal(self._ring(), secret.encode(), _purpose(person))
            self._kept.change_person(c, person, second_factor=sealed, second_factor_step=0)
        return secret, second_factor.setup_uri(secret, row["name"])

    def confirm_second_factor(self, person: str, code: str) -> list[str]:
        """Turn the second factor on, by a code that proves that the app has its secret; gives recovery codes.

        Raises
        ------
        AccessError
            The code is wrong.
        StateError
            None was begun, or one is on already.
        """
        codes = second_factor.made_recovery_codes()
        with self.store.begin() as c:
            row = self._kept.row(c, person, lock=True)
            if row is None or row["second_factor"] is None or row["second_factor_on"]:
                raise StateError("no second factor waits for its first code; begin with POST /auth/second-factor")
            right = self._code_is_right(c, row, code)
            if right:
                digests = [second_factor.recovery_digest(one) for one in codes]
                self._kept.change_person(c, person, second_factor_on=True, recovery=digests)
                record(self.store, c, "auth:second-factor", row["name"], on=True)
        if not right:
            raise AccessError("the code is wrong; look whether the clock of the device is right")
        return codes

    def end_second_factor(self, person: str, password: str, code: str) -> None:
        """Take the second factor away; needs the password and a code."""
        self._checked(person, password, "auth:second-factor")
        with self.store.begin() as c:
            row = self._kept.row(c, person, lock=True)
            right = row is not None and row["second_factor_on"] and self._code_is_right(c, row, code)
            if right and row is not None:
                change: dict[str, Any] = {"second_factor": None, "second_factor_on": False, "recovery": []}
                self._kept.change_person(c, person, **change)
                record(self.store, c, "auth:second-factor", row["name"], on=False)
        if not right:
            raise AccessError(WRONG)

    # -- inside ---------------------------------------------------------------------------------------------------
    def begin(
        self, c: Connection, row: sa.RowMapping, now_ms: int, *, cookie: bool = False, longest: timedelta = LONGEST
    ) -> SignedIn:
        """Begin a session of somebody who has proved who they are, in the transaction at hand."""
        session = uuid.uuid4().hex
        value = f"fsc_{secrets.token_urlsafe(32)}" if cookie else ""
        values = {
            "id": session, "tenant": row["tenant"], "person": row["id"], "created_ms": now_ms, "used_ms": now_ms,
            "expires_ms": now_ms + round(longest.total_seconds() * 1000),
            "cookie": _digest(value) if cookie else None,
        }  # fmt: skip
        self._kept.add_session(c, values)
        if cookie:
            seconds = round(longest.total_seconds())
            return SignedIn(self._kept.person(c, row), session, cookie=value, expires_in=seconds)
        return self._tokens(c, row, session, now_ms)

    def _tokens(self, c: Connection, row: sa.RowMapping, session: str, now_ms: int) -> SignedIn:
        refresh = f"fsr_{secrets.token_urlsafe(32)}"
        self._kept.add_refresh(c, _digest(refresh), session, row["tenant"], now_ms)
        access = self._access.sign(c, row["id"], row["tenant"], session)
        return SignedIn(self._kept.person(c, row), session, access, refresh)

    def _code_is_right(self, c: Connection, row: sa.RowMapping, code: str) -> bool:
        """Check a code of the app, or a recovery code; neither is good a second time."""
        hold_keys(self.store, c)
        secret = unseal(self._ring(), row["second_factor"], _purpose(row["id"])).decode()
        step = second_factor.code_step(secret, code[:64], self._clock())
        if step is not None and step > row["second_factor_step"]:
            self._kept.change_person(c, row["id"], second_factor_step=step)
            return True
        digest = second_factor.recovery_digest(code[:64])
        if row["second_factor_on"] and digest in row["recovery"]:
            left = [one for one in row["recovery"] if one != digest]
            self._kept.change_person(c, row["id"], recovery=left)
            return True
        return False

    def _checked(self, person: str, password: str, act: str) -> sa.RowMapping:
        """Check the password of somebody who is signed in; failures count as those of logins do."""
        with self.store.read() as c:
            row = self._kept.row(c, person)
        if row is not None and row["external"] is not None:
            raise StateError(EXTERNAL)
        right = password_matches(password, None if row is None else row["password"])
        key = hashlib.sha256((row["name"] if row is not None else "").encode()).hexdigest()
        with self.store.begin() as c:
            failures, locked_ms = self._kept.attempts(c, key)
            now_ms = self._now_ms()
            right = right and locked_ms <= now_ms
            if right:
                self._kept.forgive(c, key)
            else:
                if locked_ms <= now_ms:
                    self._kept.failed(c, key, failures + 1, now_ms + _lock_ms(failures + 1), now_ms)
                record(self.store, c, act, outcome="refused", tenant=None if row is None else row["tenant"])
        if not right or row is None:
            raise AccessError(WRONG)
        return row

    def _alive(self, session: sa.RowMapping, row: sa.RowMapping, now_ms: int) -> bool:
        over = session["revoked_ms"] is not None or row["disabled_ms"] is not None
        return not over and now_ms < min(session["expires_ms"], session["used_ms"] + IDLE_MS)

    def _now_ms(self) -> int:
        return round(self._clock() * 1000)


def _lock_ms(failures: int) -> int:
    beyond = failures - FREE_FAILURES
    return 0 if beyond < 0 else min(SHORTEST_LOCK_MS << min(beyond, 20), LONGEST_LOCK_MS)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _purpose(person: str) -> str:
    return f"people.second_factor {person}"
