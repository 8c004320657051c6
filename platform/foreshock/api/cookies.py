"""Cookies of browsers, and the token that shows that a request is the page's own (CSRF).

The session cookie is ``__Host-``, HttpOnly, Secure and SameSite=Strict: no script reads it, no other site, host or
plain connection is sent it. What changes something needs a token beside it, which is computed from the cookie: who
cannot read the cookie cannot know the token.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Literal

from starlette.responses import Response
from starlette.types import Scope

from foreshock.api.errors import Problem
from foreshock.identity.verification import cookie_key

__all__ = [
    "CSRF_HEADER",
    "SESSION",
    "SIGN_IN_STATE",
    "check_csrf",
    "cookie_of",
    "credential_of",
    "csrf_matches",
    "csrf_token",
    "drop_cookie",
    "set_cookie",
]

SESSION = "__Host-foreshock"
SIGN_IN_STATE = "__Host-foreshock-sign-in"
"""Of a sign-in that is under way at a provider: sent with the way back, which begins at another site."""
CSRF_HEADER = "x-csrf-token"
LONGEST = 4096
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
FORGED = (
    "a request that changes something by cookie needs the header X-CSRF-Token, with csrf_token of GET /auth/me; "
    "or send a bearer token"
)


def cookie_of(scope: Scope, name: str) -> str | None:
    """Return a cookie of a request; None if it has none of that name, or an empty one."""
    start = f"{name}=".encode()
    for key, value in scope["headers"]:
        if key != b"cookie":
            continue
        for part in value.split(b";"):
            part = part.strip()
            if part.startswith(start) and len(start) < len(part) <= LONGEST:
                return str(part[len(start) :].decode("latin-1"))
    return None


def credential_of(scope: Scope) -> tuple[str | None, str | None]:
    """Return what a request shows of its sender, as a key of `Verifier.identify`, and the cookie, if it is one.

    A bearer token counts before a cookie.
    """
    for name, value in scope["headers"]:
        if name == b"authorization":
            return str(value.decode("latin-1")), None
    cookie = cookie_of(scope, SESSION)
    return (None, None) if cookie is None else (cookie_key(cookie), cookie)


def csrf_token(cookie: str) -> str:
    """Return the token that goes with a session cookie."""
    digest = hmac.digest(cookie.encode("latin-1", "replace"), b"foreshock csrf", hashlib.sha256)
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def csrf_matches(cookie: str, token: str | None) -> bool:
    return token is not None and hmac.compare_digest(csrf_token(cookie).encode(), token.encode("utf-8", "replace"))


def check_csrf(scope: Scope, cookie: str) -> None:
    """Refuse (403) a request that changes something by cookie and does not show that it is the page's own."""
    if scope.get("method") in SAFE:
        return
    name = CSRF_HEADER.encode()
    token = next((value.decode("latin-1") for key, value in scope["headers"] if key == name), None)
    if not csrf_matches(cookie, token):
        raise Problem(403, FORGED)


def set_cookie(
    response: Response, name: str, value: str, seconds: int, same_site: Literal["strict", "lax"] = "strict"
) -> None:
    """Let the browser keep a cookie for so many seconds."""
    response.set_cookie(name, value, max_age=seconds, path="/", secure=True, httponly=True, samesite=same_site)


def drop_cookie(response: Response, name: str, same_site: Literal["strict", "lax"] = "strict") -> None:
    set_cookie(response, name, "", 0, same_site)
