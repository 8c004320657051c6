"""Access tokens: JWT signed with Ed25519, good for minutes, with key ids so that keys can change."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import jwt
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy.engine import Connection

from foreshock.secrets import Keyring, seal, unseal
from foreshock.secrets.resealing import hold_keys
from foreshock.store import team_tables as t
from foreshock.store.store import Store
from foreshock_models.errors import AccessError

__all__ = ["LIFETIME", "AccessTokens", "Claims"]

ISSUER, AUDIENCE = "foreshock", "foreshock-api"
ALGORITHM = "EdDSA"
PURPOSE = "jwt"
LIFETIME = 600
"""Seconds that an access token is good for."""
LEEWAY = 5
REREAD = 2.0
"""Seconds after which an unknown key is looked for again: anybody can send one."""
FRESH = 60.0
"""Seconds that the keys are kept in memory."""
TOLD = LIFETIME + LEEWAY
"""Seconds after which a retired key verifies nothing any more."""


@dataclass(frozen=True, slots=True)
class Claims:
    """The content of a token whose signature is right."""

    person: str
    tenant: str
    session: str
    expires: int


class AccessTokens:
    """Signs and verifies; keys are in the store, the private half sealed, and made on first use."""

    def __init__(self, store: Store, ring: Callable[[], Keyring], clock: Callable[[], float] = time.time) -> None:
        self.store = store
        self._ring, self._clock = ring, clock
        self._private: tuple[str, Ed25519PrivateKey] | None = None
        self._public: dict[str, Ed25519PublicKey] = {}
        self._read = -FRESH

    def sign(self, c: Connection, person: str, tenant: str, session: str) -> str:
        """Make a token, in the transaction at hand."""
        now = int(self._clock())
        claims = {
            "iss": ISSUER, "aud": AUDIENCE, "sub": person, "ten": tenant, "sid": session, "iat": now, "nbf": now,
            "exp": now + LIFETIME, "jti": uuid.uuid4().hex,
        }  # fmt: skip
        kid, key = self._signing_key(c)
        return jwt.encode(claims, key, ALGORITHM, headers={"kid": kid, "typ": "at+jwt"})

    def verify(self, token: str) -> Claims:
        """Return the claims.

        Raises
        ------
        AccessError
            The token is not one of ours, or no longer good.
        """
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") != ALGORITHM or header.get("typ") != "at+jwt":
                raise AccessError("the access token is not one of this installation")
            found = jwt.decode(
                token, self._verifying_key(header.get("kid")), [ALGORITHM], audience=AUDIENCE, issuer=ISSUER,
                leeway=LEEWAY, options={"require": ["exp", "iat", "nbf", "sub", "sid", "ten"], "verify_exp": False,
                                        "verify_iat": False, "verify_nbf": False},
            )  # fmt: skip
            claims = Claims(str(found["sub"]), str(found["ten"]), str(found["sid"]), int(found["exp"]))
            begin = int(found["nbf"])
        except (jwt.InvalidTokenError, ValueError, TypeError) as exc:
            raise AccessError("the access token is not one of this installation") from exc
        now = self._clock()
        if not begin - LEEWAY <= now <= claims.expires + LEEWAY:
            raise AccessError("the access token has expired; ask /auth/refresh for another one")
        return claims

    def rotate(self, c: Connection) -> None:
        """Sign with another key from now on; tokens that are out stay good until they expire."""
        k = t.signing_keys.c
        old = sa.update(t.signing_keys).where(k.purpose == PURPOSE, k.retired_ms.is_(None))
        c.execute(old.values(retired_ms=self._now_ms(), private=None))
        c.execute(
            sa.delete(t.signing_keys).where(k.purpose == PURPOSE, k.retired_ms < self._now_ms() - 1000 * TOLD)
        )
        self._make(c)

    def _signing_key(self, c: Connection) -> tuple[str, Ed25519PrivateKey]:
        hold_keys(self.store, c)
        k = t.signing_keys.c
        query = sa.select(k.id, k.private).where(k.purpose == PURPOSE, k.retired_ms.is_(None)).limit(1)
        row = c.execute(query).one_or_none()
        if row is None:
            return self._make(c)
        if self._private is None or self._private[0] != row.id:
            raw = unseal(self._ring(), row.private, _sealed_for(row.id))
            self._private = row.id, Ed25519PrivateKey.from_private_bytes(raw)
        return self._private

    def _make(self, c: Connection) -> tuple[str, Ed25519PrivateKey]:
        hold_keys(self.store, c)
        kid, key = uuid.uuid4().hex[:16], Ed25519PrivateKey.generate()
        sealed = seal(self._ring(), key.private_bytes_raw(), _sealed_for(kid))
        public = key.public_key().public_bytes_raw()
        values = {"purpose": PURPOSE, "algorithm": "ed25519", "public": public, "private": sealed}
        c.execute(sa.insert(t.signing_keys).values(id=kid, created_ms=self._now_ms(), **values))
        return kid, key

    def _verifying_key(self, kid: object) -> Ed25519PublicKey:
        age = time.monotonic() - self._read
        if age > FRESH or (kid not in self._public and age > REREAD):
            k = t.signing_keys.c
            good = sa.or_(k.retired_ms.is_(None), k.retired_ms > self._now_ms() - 1000 * TOLD)
            with self.store.read() as c:
                rows = c.execute(sa.select(k.id, k.public).where(k.purpose == PURPOSE, good)).all()
            self._public = {row.id: Ed25519PublicKey.from_public_bytes(row.public) for row in rows}
            self._read = time.monotonic()
        if not isinstance(kid, str) or kid not in self._public:
            raise AccessError("the access token is not one of this installation")
        return self._public[kid]

    def _now_ms(self) -> int:
        return round(self._clock() * 1000)


def _sealed_for(kid: str) -> str:
    return f"signing_keys.private {kid}"
