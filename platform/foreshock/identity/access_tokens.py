"""Access tokens: JWT signed with Ed25519, good for minutes, with key ids so that keys can change."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jwt
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy.engine import Connection

from foreshock.secrets import Keyring, seal, secret_setting, unseal
from foreshock.secrets.resealing import hold_keys
from foreshock.store import team_tables as t
from foreshock.store.store import Store
from foreshock_models.errors import AccessError, ConfigError

__all__ = ["LIFETIME", "AccessTokens", "Claims", "given_keys"]

ISSUER, AUDIENCE = "foreshock", "foreshock-api"
ALGORITHM = "EdDSA"
PURPOSE = "jwt"
LIFETIME = 600
"""Seconds that an access token is good for."""
LEEWAY = 5
SHORTEST = 32
"""Characters of a secret that keys are derived from."""
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
    """Signs and verifies; keys are in the store, the private half sealed, and made on first use.

    Parameters
    ----------
    given
        Keys that are used in place of those, as of ``JWT_SECRET_KEY``: the first signs, all verify.
    """

    def __init__(
        self,
        store: Store,
        ring: Callable[[], Keyring],
        clock: Callable[[], float] = time.time,
        given: Sequence[Ed25519PrivateKey] = (),
    ) -> None:
        self.store = store
        self._given = {_given_id(key): key for key in given}
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
        """Sign with another key from now on; tokens that are out stay good until they expire.

        Raises
        ------
        ConfigError
            The keys were given.
        """
        if self._given:
            raise ConfigError("JWT_SECRET_KEY signs access tokens: put a new one before it there, and restart")
        k = t.signing_keys.c
        old = sa.update(t.signing_keys).where(k.purpose == PURPOSE, k.retired_ms.is_(None))
        c.execute(old.values(retired_ms=self._now_ms(), private=None))
        c.execute(
            sa.delete(t.signing_keys).where(k.purpose == PURPOSE, k.retired_ms < self._now_ms() - 1000 * TOLD)
        )
        self._make(c)

    def _signing_key(self, c: Connection) -> tuple[str, Ed25519PrivateKey]:
        if self._given:
            return next(iter(self._given.items()))
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
        if isinstance(kid, str) and kid in self._given:
            return self._given[kid].public_key()
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


def given_keys(text: str | None) -> list[Ed25519PrivateKey]:
    """Derive the keys that sign from ``JWT_SECRET_KEY``: secrets with commas between them, the newest first.

    Parameters
    ----------
    text
        May be a reference, as of `secret_setting`. None or empty: there are none.

    Raises
    ------
    ConfigError
        A secret is too short; it is not quoted.
    """
    if not text:
        return []
    words = [word.strip() for word in secret_setting(text, "JWT_SECRET_KEY").split(",")]
    if any(len(word) < SHORTEST for word in words):
        raise ConfigError(
            f"JWT_SECRET_KEY: at least {SHORTEST} characters, as of: openssl rand -base64 32; several, the newest "
            "first, with commas between"
        )
    return [Ed25519PrivateKey.from_private_bytes(_derived(word)) for word in words]


def _derived(word: str) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=b"foreshock access tokens v1").derive(word.encode())


def _given_id(key: Ed25519PrivateKey) -> str:
    return hashlib.sha256(key.public_key().public_bytes_raw()).hexdigest()[:16]


def _sealed_for(kid: str) -> str:
    return f"signing_keys.private {kid}"
