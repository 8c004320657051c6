"""An OpenID provider on loopback: authorization code with PKCE, by the book, and made wrong on demand."""

from __future__ import annotations

import base64
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode

import uvicorn
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

__all__ = ["CLIENT", "SECRET", "OpenIdProvider", "openid_provider"]

CLIENT, SECRET = "foreshock", "the-client's-own-secret"


@dataclass
class OpenIdProvider:
    """A provider with one client, at which somebody is signed in already.

    Attributes
    ----------
    claims : of the ID token, over the right ones: another audience, nonce or issuer
    userinfo : claims that are given there alone
    skew : seconds that its clock is ahead
    sign : makes the ID token of its claims, in another way than the right one
    deny : error that it answers in place of a code
    """

    url: str
    claims: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    skew: float = 0.0
    deny: str | None = None
    sign: Callable[[dict[str, Any]], str] | None = None
    asked_for_keys: int = 0

    def __post_init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"use": "sig", "kid": secrets.token_hex(4)})
        self._codes: dict[str, dict[str, str]] = {}
        self._access: set[str] = set()

    def rotate(self) -> None:
        """Sign with another key; the old one is published no more."""
        self.key = RSAKey.generate_key(2048, {"use": "sig", "kid": secrets.token_hex(4)})

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._discovery),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
                Route("/keys", self._keys),
                Route("/userinfo", self._userinfo),
            ]
        )

    def _discovery(self, request: Request) -> Response:
        return JSONResponse(
            {
                "issuer": self.url, "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token", "jwks_uri": f"{self.url}/keys",
                "userinfo_endpoint": f"{self.url}/userinfo", "response_types_supported": ["code"],
                "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256"],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic"],
                "authorization_response_iss_parameter_supported": True,
            }
        )  # fmt: skip

    def _authorize(self, request: Request) -> Response:
        query = dict(request.query_params)
        wrong = [
            name
            for name, value in {
                "response_type": "code",
                "client_id": CLIENT,
                "code_challenge_method": "S256",
            }.items()
            if query.get(name) != value
        ]
        missing = {"redirect_uri", "state", "nonce", "code_challenge", "scope"} - query.keys()
        if wrong or missing or "openid" not in query["scope"].split():
            return JSONResponse({"error": "invalid_request", "about": [*wrong, *missing]}, 400)
        answer = {"state": query["state"], "iss": self.url}
        if self.deny is not None:
            answer["error"] = self.deny
        else:
            answer["code"] = secrets.token_urlsafe(16)
            self._codes[answer["code"]] = query
        return RedirectResponse(f"{query['redirect_uri']}?{urlencode(answer)}", 302)

    async def _token(self, request: Request) -> Response:
        body = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {basic}":
            return JSONResponse({"error": "invalid_client"}, 401)
        asked = self._codes.pop(body.get("code", ""), None)  # good once
        if (
            asked is None
            or body.get("grant_type") != "authorization_code"
            or body.get("redirect_uri") != asked["redirect_uri"]
            or create_s256_code_challenge(body.get("code_verifier", "")) != asked["code_challenge"]
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        access = secrets.token_urlsafe(16)
        self._access.add(access)
        return JSONResponse(
            {"access_token": access, "token_type": "Bearer", "expires_in": 60, "id_token": self._signed(asked)}
        )

    def _signed(self, asked: dict[str, str]) -> str:
        now = int(time.time() + self.skew)
        claims = {
            "iss": self.url, "aud": CLIENT, "sub": "248289761001", "iat": now, "exp": now + 300,
            "nonce": asked["nonce"], "preferred_username": "anna", "groups": ["sre"], **self.claims,
        }  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        if self.sign is not None:
            return self.sign(claims)
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key)

    def _keys(self, request: Request) -> Response:
        self.asked_for_keys += 1
        return JSONResponse(KeySet([self.key]).as_dict(private=False))

    def _userinfo(self, request: Request) -> Response:
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self._access:
            return JSONResponse({"error": "invalid_token"}, 401)
        return JSONResponse({"sub": "248289761001", **self.userinfo})


@contextmanager
def openid_provider() -> Iterator[OpenIdProvider]:
    """Run a provider on a free port."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        provider = OpenIdProvider(f"http://127.0.0.1:{listening.getsockname()[1]}")
        server = uvicorn.Server(uvicorn.Config(provider.app(), log_level="error"))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield provider
        server.should_exit = True
        thread.join(10)
