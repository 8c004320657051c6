"""Sign-in by a provider: the state of a browser that goes there and comes back, and the person it makes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from foreshock.audit import Actor, record
from foreshock.identity.model import RoleGrant, check_name
from foreshock.identity.oidc.provider import Claims, Provider
from foreshock.identity.repository import IdentityRepository
from foreshock.identity.sessions import Sessions, SignedIn
from foreshock.secrets import Keyring, seal, unseal
from foreshock.store import team_tables as t
from foreshock.store.store import Store
from foreshock_models.errors import AccessError, ConfigError, StoreError

__all__ = ["LIFETIME", "Departure", "GroupRefused", "SingleSignOn"]

LIFETIME = 600
"""Seconds that somebody may take at the provider."""
PURPOSE = "cookie of single sign-on"
STALE = "this sign-in was not begun in this browser, took too long, or is over already; begin again"


class GroupRefused(AccessError):
    """The person is who they say they are, and in no group that has a role."""


@dataclass(frozen=True, slots=True)
class Departure:
    """The way to the provider, and the cookie that shows on the way back that it is the same browser."""

    url: str
    cookie: str


class SingleSignOn:
    """Signs people in by a provider.

    The state, nonce and code verifier of a sign-in are in a sealed cookie of the browser; nothing of it is kept
    here until it comes back. A state that came back is kept until it expires, so that it is good once.
    """

    def __init__(
        self,
        store: Store,
        sessions: Sessions,
        provider: Provider,
        ring: Callable[[], Keyring],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store, self.sessions, self.provider = store, sessions, provider
        self._ring, self._clock = ring, clock
        self._kept = IdentityRepository(store)

    def depart(self, then: str) -> Departure:
        """Begin a sign-in; `then`: path to which it leads in the end."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        url = self.provider.way_there(state, nonce, verifier)
        content = {"s": state, "n": nonce, "v": verifier, "t": then, "e": int(self._clock()) + LIFETIME}
        sealed = seal(self._ring(), orjson.dumps(content), PURPOSE)
        return Departure(url, base64.urlsafe_b64encode(sealed).decode().rstrip("="))

    def arrive(
        self, cookie: str | None, state: str, code: str, issuer: str | None, address: str
    ) -> tuple[SignedIn, str]:
        """End a sign-in that came back with a code; gives the session, with its cookie, and the path to go to.

        Raises
        ------
        AccessError
            State, code or ID token are not good.
        GroupRefused
            No group of the person has a role.
        """
        try:
            begun = self._opened(cookie, state)
            self.provider.check_issuer(issuer)
            claims = self.provider.redeem(code, begun["n"], begun["v"])
            name = _checked_name(claims.name)
        except AccessError as exc:
            self._note_refusal("unknown", str(exc), address)
            raise
        return self._signed_in(claims, name, address), begun["t"]

    def refuse(self, cookie: str | None, state: str, address: str) -> None:
        """Note that the provider refused somebody: their state is used up."""
        self._opened(cookie, state)
        self._note_refusal("unknown", "the provider refused", address)

    # -- state ----------------------------------------------------------------------------------------------------
    def _opened(self, cookie: str | None, state: str) -> dict[str, str]:
        """Return what a browser left with; its state is good no more."""
        try:
            raw = base64.urlsafe_b64decode((cookie or "") + "=" * (-len(cookie or "") % 4))
            begun = orjson.loads(unseal(self._ring(), raw, PURPOSE))
        except (binascii.Error, ValueError, StoreError) as exc:
            raise AccessError(STALE) from exc
        right = secrets.compare_digest(begun["s"].encode(), state.encode("utf-8", "replace"))
        if not right or begun["e"] < self._clock():
            raise AccessError(STALE)
        digest = hashlib.sha256(state.encode()).hexdigest()
        now_ms = self._now_ms()
        with self.store.begin() as c:
            self._kept.drop_old_states(c, now_ms)
            if not self._kept.use_state(c, digest, now_ms + 1000 * LIFETIME):
                raise AccessError(STALE)
        return dict(begun)

    # -- person ---------------------------------------------------------------------------------------------------
    def _signed_in(self, claims: Claims, name: str, address: str) -> SignedIn:
        config = self.provider.config
        external = hashlib.sha256(f"{config.issuer}\0{claims.subject}".encode()).hexdigest()
        found = config.grants(claims.groups)
        actor = Actor(name, "person", address)
        refused: AccessError | None = None
        signed_in: SignedIn | None = None
        with self.store.begin() as c:
            now_ms = self._now_ms()
            row = self._kept.row_by_external(c, external, lock=True)
            tenant = row["tenant"] if row is not None else None
            if found is None or not self._kept.has_tenant(c, found[0]):
                refused = self._without_role(c, row, found, now_ms)
            elif row is not None and row["disabled_ms"] is not None:
                refused = AccessError(f"{name} may not sign in any more; ask an administrator")
            elif row is None and self._kept.row_by_name(c, name) is not None:
                refused = AccessError(f"the name {name!r} is somebody else's here; an administrator can free it")
            else:
                tenant = found[0]
                row = self._kept_person(c, row, external, name, tenant, now_ms)
                self._give(c, row, found[1])
                signed_in = self.sessions.begin(c, row, now_ms, cookie=True, longest=config.session)
                record(
                    self.store, c, "auth:login", signed_in.session, actor=actor, tenant=tenant,
                    how="single sign-on", issuer=config.issuer,
                )  # fmt: skip
            if refused is not None:
                record(
                    self.store, c, "auth:login", outcome="refused", actor=actor, tenant=tenant,
                    how="single sign-on", why=str(refused),
                )  # fmt: skip
        if signed_in is None:
            raise refused or AccessError(STALE)
        return signed_in

    def _without_role(
        self, c: Connection, row: sa.RowMapping | None, found: tuple[str, object] | None, now_ms: int
    ) -> AccessError:
        """Take the roles of somebody who had some, and end their sessions."""
        if row is not None:
            self._kept.set_grants(c, row["id"], row["tenant"], [])
            self._kept.end_sessions(c, "no group with a role", now_ms, person=row["id"])
        if found is not None:
            return GroupRefused(f"your group belongs to the tenant {found[0]!r}, which there is not")
        return GroupRefused("none of your groups at the provider has a role here; ask an administrator")

    def _kept_person(
        self, c: Connection, row: sa.RowMapping | None, external: str, name: str, tenant: str, now_ms: int
    ) -> sa.RowMapping:
        """Make the person, or bring their name and tenant up to date."""
        if row is None:
            values: dict[str, Any] = {
                "id": uuid.uuid4().hex[:16], "tenant": tenant, "name": name, "password": None,
                "must_change": False, "recovery": [], "created_ms": now_ms, "external": external,
            }  # fmt: skip
            self._kept.add_person(c, values)
            record(
                self.store, c, "users:add", name, actor=Actor(name, "person"), tenant=tenant, how="single sign-on"
            )
        else:
            change: dict[str, str] = {}
            if row["tenant"] != tenant:
                self._kept.set_grants(c, row["id"], row["tenant"], [])
                self._kept.end_sessions(c, "moved to another tenant", now_ms, person=row["id"])
                change["tenant"] = tenant
            if row["name"] != name and self._kept.row_by_name(c, name) is None:
                change["name"] = name
            if change:
                self._kept.change_person(c, row["id"], **change)
                actor = Actor(name, "person")
                record(self.store, c, "users:change", name, actor=actor, tenant=tenant, changed=change)
        found = self._kept.row_by_external(c, external)
        if found is None:
            raise StoreError("the person who was just written is gone")
        return found

    def _give(self, c: Connection, row: sa.RowMapping, grants: tuple[RoleGrant, ...]) -> None:
        if set(self._kept.grants(c, row["id"], row["tenant"])) == set(grants):
            return
        self._kept.set_grants(c, row["id"], row["tenant"], grants)
        roles = [f"{grant.role} for {grant.jobs}" for grant in grants]
        record(
            self.store, c, "users:grant", row["name"], actor=Actor(row["name"], "person"), tenant=row["tenant"],
            roles=roles, how="single sign-on",
        )  # fmt: skip

    def _note_refusal(self, who: str, why: str, address: str) -> None:
        with self.store.begin() as c:
            record(
                self.store, c, "auth:login", outcome="refused", actor=Actor(who, "person", address),
                tenant=t.DEFAULT_TENANT, how="single sign-on", why=why,
            )  # fmt: skip

    def _now_ms(self) -> int:
        return round(self._clock() * 1000)


def _checked_name(name: str) -> str:
    try:
        return check_name(name)
    except ConfigError as exc:
        raise AccessError(f"the provider names you in a way that is no name here: {exc}") from exc
