"""The OpenID provider: discovery, the way there, the code's exchange, and what its ID token proves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.client import OAuth2Client
from authlib.oauth2.rfc6749.parameters import prepare_token_request
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from foreshock.identity.oidc.config import OidcConfig, check_address
from foreshock_models.errors import AccessError, ConfigError, HttpError, SourceUnavailable
from foreshock_pipelines.http_client import HttpClient

__all__ = ["LEEWAY", "Claims", "Provider"]

ALGORITHMS = ["RS256", "PS256", "ES256", "ES384", "RS384", "RS512", "PS384", "PS512", "ES512", "Ed25519", "EdDSA"]
"""Signatures that are taken: asymmetric ones alone."""
LEEWAY = 60
"""Seconds that the clocks of the provider and of this machine may differ."""
FRESH = 300.0
"""Seconds that discovery document and keys are kept."""
REREAD = 5.0
"""Seconds after which keys are read again for an unknown key id: anybody can cause it."""
LARGEST = 2**20
TIMEOUT = 10.0
MOST_GROUPS = 5000
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint")
DISCOVERY = "/.well-known/openid-configuration"
FAILED = "the provider's answer does not prove who you are"


@dataclass(frozen=True, slots=True)
class Claims:
    """The content of an ID token whose signature, issuer, audience, time and nonce are right."""

    subject: str
    name: str
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Metadata:
    authorization: str
    token: str
    keys: str
    userinfo: str | None
    methods: tuple[str, ...]
    says_issuer: bool


class Provider:
    """Speaks with one provider; may be used by several threads at once.

    Parameters
    ----------
    callback
        URL of this installation that the provider sends people back to.
    """

    def __init__(self, config: OidcConfig, callback: str, clock: Callable[[], float] = time.time) -> None:
        self.config, self.callback = config, callback
        self._clock = clock
        self._http = HttpClient(config.http)
        self._lock = threading.Lock()
        self._metadata: tuple[float, _Metadata] | None = None
        self._keys: tuple[float, KeySet] | None = None

    def close(self) -> None:
        self._http.close()

    def way_there(self, state: str, nonce: str, verifier: str) -> str:
        """Return the URL at which somebody signs in at the provider (PKCE, S256)."""
        client = OAuth2Client(
            None, self.config.client_id, scope=" ".join(self.config.scopes), redirect_uri=self.callback,
            code_challenge_method="S256",
        )  # fmt: skip
        url, _ = client.create_authorization_url(
            self._discover().authorization, state=state, code_verifier=verifier, nonce=nonce
        )
        return str(url)

    def check_issuer(self, told: str | None) -> None:
        """Refuse an answer of another provider (RFC 9207)."""
        if told is not None and told != self.config.issuer:
            raise AccessError(f"{FAILED}: it is of another issuer")
        if told is None and self._discover().says_issuer:
            raise AccessError(f"{FAILED}: it does not name its issuer")

    def redeem(self, code: str, nonce: str, verifier: str) -> Claims:
        """Exchange a code for an ID token, and give what the token says.

        Raises
        ------
        AccessError
            The provider refuses the code, or the token is invalid.
        SourceUnavailable
            The provider does not answer.
        """
        found = self._exchange(code, verifier)
        token, access = found.get("id_token"), found.get("access_token")
        if not isinstance(token, str) or len(token) > LARGEST:
            raise AccessError(f"{FAILED}: it holds no ID token")
        claims = self._verify(token, nonce, access)
        if self.config.groups_claim not in claims or self.config.name_claim not in claims:
            claims = {**self._userinfo(access, claims["sub"]), **claims}
        return Claims(str(claims["sub"]), self._name(claims), self._groups(claims))

    # -- the provider's endpoints ---------------------------------------------------------------------------------
    def _exchange(self, code: str, verifier: str) -> dict[str, Any]:
        metadata = self._discover()
        body = prepare_token_request("authorization_code", "", self.callback, code=code, code_verifier=verifier)
        secret = self.config.secret()
        method = _method(metadata.methods, secret)
        headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        auth = ClientAuth(self.config.client_id, secret, method)
        url, headers, body = auth.prepare("POST", metadata.token, headers, body)
        try:
            return self._json("POST", url, body=body.encode(), headers=headers)
        except HttpError as exc:
            if exc.status in (400, 401):
                raise AccessError("the provider refuses the code; begin again") from exc
            raise SourceUnavailable(f"the provider of single sign-on does not answer: {exc}") from exc

    def _userinfo(self, access: object, subject: object) -> dict[str, Any]:
        """Return what the provider says of a person beside the ID token; nothing, if it has no such endpoint."""
        url = self._discover().userinfo
        if url is None or not isinstance(access, str):
            return {}
        try:
            found = self._json("GET", url, headers={"Authorization": f"Bearer {access}"})
        except HttpError as exc:
            raise SourceUnavailable(f"the provider of single sign-on does not answer: {exc}") from exc
        if found.get("sub") != subject:
            raise AccessError(f"{FAILED}: its userinfo is of somebody else")
        return found

    def _discover(self) -> _Metadata:
        with self._lock:
            if self._metadata is not None and time.monotonic() < self._metadata[0]:
                return self._metadata[1]
        url = self.config.issuer.rstrip("/") + DISCOVERY
        try:
            found = _metadata(self._json("GET", url), self.config.issuer)
        except HttpError as exc:
            raise SourceUnavailable(f"{url}: {exc}") from exc
        with self._lock:
            self._metadata = time.monotonic() + FRESH, found
        return found

    def _key_set(self, *, newer_than: float = FRESH) -> KeySet:
        """Return the provider's keys, read at most `newer_than` seconds ago."""
        with self._lock:
            if self._keys is not None and time.monotonic() < self._keys[0] + newer_than:
                return self._keys[1]
        url = self._discover().keys
        try:
            found = KeySet.import_key_set(self._json("GET", url))  # type: ignore[arg-type]
        except HttpError as exc:
            raise SourceUnavailable(f"{url}: {exc}") from exc
        except (JoseError, ValueError, TypeError, KeyError) as exc:
            raise SourceUnavailable(f"{url}: these are no keys: {exc}") from exc
        with self._lock:
            self._keys = time.monotonic(), found
        return found

    def _json(self, method: str, url: str, **more: Any) -> dict[str, Any]:
        answer = self._http.request(method, url, timeout=TIMEOUT, limit=LARGEST, **more)
        try:
            found = orjson.loads(answer.body)
        except orjson.JSONDecodeError as exc:
            raise HttpError("the answer is no JSON") from exc
        if not isinstance(found, dict):
            raise HttpError("the answer is no JSON object")
        return found

    # -- the ID token ---------------------------------------------------------------------------------------------
    def _verify(self, token: str, nonce: str, access: object) -> dict[str, Any]:
        try:
            decoded = self._decode(token)
            claims = CodeIDToken(
                decoded.claims, decoded.header,
                {"iss": {"essential": True, "value": self.config.issuer},
                 "aud": {"essential": True, "value": self.config.client_id}},
                {"nonce": nonce, "client_id": self.config.client_id, "access_token": access},
            )  # fmt: skip
            claims.validate(int(self._clock()), LEEWAY)
        except (JoseError, ValueError, TypeError, KeyError) as exc:
            raise AccessError(f"{FAILED}: {_reason(exc)}") from exc
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= 255:
            raise AccessError(f"{FAILED}: it names no subject")
        audience = claims["aud"]
        if isinstance(audience, list) and len(audience) > 1 and claims.get("azp") != self.config.client_id:
            raise AccessError(f"{FAILED}: it is for others, too, and not authorised for this client")
        return dict(claims)

    def _decode(self, token: str) -> jwt.Token:
        """Check the signature; an unknown key is looked for once more, for the provider's keys change."""
        try:
            return jwt.decode(token, self._key_set(), ALGORITHMS)
        except InvalidKeyIdError:
            return jwt.decode(token, self._key_set(newer_than=REREAD), ALGORITHMS)

    def _name(self, claims: Mapping[str, Any]) -> str:
        name = claims.get(self.config.name_claim)
        if not isinstance(name, str):
            raise AccessError(f"{FAILED}: it has no claim {self.config.name_claim!r}")
        return name

    def _groups(self, claims: Mapping[str, Any]) -> tuple[str, ...]:
        found = claims.get(self.config.groups_claim, [])
        if isinstance(found, str):
            found = [found]
        if not isinstance(found, list) or len(found) > MOST_GROUPS:
            raise AccessError(f"{FAILED}: the claim {self.config.groups_claim!r} is no list of groups")
        return tuple(group for group in found if isinstance(group, str))


def _metadata(found: Mapping[str, Any], issuer: str) -> _Metadata:
    """Read a discovery document.

    Raises
    ------
    SourceUnavailable
        It is of another issuer, or lacks an address.
    """
    if found.get("issuer") != issuer:
        raise SourceUnavailable(
            f"the discovery document is of the issuer {str(found.get('issuer'))[:200]!r}, not {issuer!r}; "
            "write issuer as the provider does"
        )
    try:
        addresses = {name: str(found[name]) for name in ENDPOINTS if name in found or name != "userinfo_endpoint"}
        for name, address in addresses.items():
            check_address(address.partition("?")[0], name)
        methods = found.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        return _Metadata(
            addresses["authorization_endpoint"], addresses["token_endpoint"], addresses["jwks_uri"],
            addresses.get("userinfo_endpoint"), tuple(map(str, methods)),
            found.get("authorization_response_iss_parameter_supported") is True,
        )  # fmt: skip
    except (KeyError, ValueError, TypeError) as exc:
        raise SourceUnavailable(f"the discovery document of {issuer}: {exc}") from exc


def _method(offered: tuple[str, ...], secret: str | None) -> str:
    """Return how the client authenticates at the token endpoint."""
    if secret is None:
        return "none"
    for method in ("client_secret_basic", "client_secret_post"):
        if method in offered:
            return method
    raise ConfigError(
        "the provider takes the client's secret neither as client_secret_basic nor as client_secret_post; "
        "allow one of them for this client"
    )


def _reason(exc: Exception) -> str:
    """Return why a token is invalid, without its content."""
    if isinstance(exc, JoseError):
        return str(exc.description or exc.error)[:200]
    return "it cannot be read"
