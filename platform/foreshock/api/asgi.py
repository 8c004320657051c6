"""ASGI application: FastAPI, with authentication before routing and a fast path for scoring."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from fastapi import Depends, FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from foreshock.api.authorization import OPEN_PATHS, PRINCIPAL, address_of, default_deny, describe, require
from foreshock.api.cookies import check_csrf, credential_of
from foreshock.api.errors import INTERNAL, Problem, problem_of, problem_response
from foreshock.api.limiting import Limits
from foreshock.audit.acting import SYSTEM, acting
from foreshock.identity.model import Principal
from foreshock.identity.permissions import Permission
from foreshock.identity.verification import Verifier
from foreshock.store.scope import NOTHING, within
from foreshock_models.errors import AccessError, ForeshockError

__all__ = ["Api", "hardened", "header_of"]

LINGER = 10.0
SIGN_IN = frozenset({"/auth/login", "/auth/refresh", "/auth/oidc/callback"})
"""Paths that need no token, and whose failures count."""
GUARDED = (
    (b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"), (b"x-frame-options", b"DENY"),
)  # fmt: skip
"""Headers of every answer, unless it has its own."""
DATA_ONLY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
"""Of every answer that is no page: a browser that is made to show it runs nothing of it."""
Endpoint = Callable[[Scope, Receive], Awaitable[tuple[bytes, bytes]]]
"""Gives the body of an answer, and its content type."""


class Api(FastAPI):
    """The application of an ingress.

    Parameters
    ----------
    verifier
        Gives what tells who a request is from.
    limits
        Gives what counts requests; None: nothing does.
    noted
        Told of the principal, method, path, address and status of each request but those for scores.
    origins
        Gives the origins of other sites whose pages may read answers (CORS); None, or none of them: no site.

    Attributes
    ----------
    short : path to the permission and the endpoint of a POST that goes past FastAPI, whose layers cost as much as
        scoring a window
    """

    def __init__(
        self,
        verifier: Callable[[], Verifier],
        limits: Callable[[], Limits] | None = None,
        noted: Callable[[Principal, str, str, str, int], None] | None = None,
        origins: Callable[[], Sequence[str]] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(dependencies=[Depends(default_deny)], **more)
        self.verifier = verifier
        self.limits = limits
        self.noted = noted
        self.origins = origins
        self._way_in: ASGIApp | None = None
        self.short: dict[str, tuple[Permission, Endpoint]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await super().__call__(scope, receive, send)
        if self._way_in is None:
            self._way_in = self._opened()
        await self._way_in(scope, receive, send)

    def _opened(self) -> ASGIApp:
        """Return the way in for requests: through CORS, if other sites may ask; cookies are of no use to them."""
        origins = () if self.origins is None else self.origins()
        if not origins:
            return self._answer
        return CORSMiddleware(
            self._answer, allow_origins=origins, allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Last-Event-ID"], allow_credentials=False,
            expose_headers=["Retry-After", "RateLimit", "RateLimit-Policy"],
        )  # fmt: skip

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and has_body(scope):
            answer = _Answer(receive, send)
            receive, send = answer.receive, answer.send
        try:
            if scope["path"] in OPEN_PATHS:
                send = await self._admitted(scope, send)
            else:
                scope[PRINCIPAL] = await self._principal(scope)
        except (Problem, ForeshockError) as exc:
            if scope["type"] == "websocket":  # closed before it is accepted: the client sees 403
                return await send({"type": "websocket.close", "code": 1008})
            return await problem_response(Request(scope), problem_of(exc))(scope, receive, hardened(send))
        short = self.short.get(scope["path"]) if scope.get("method") == "POST" else None
        if short is None:
            with within(NOTHING), acting(SYSTEM):  # until an endpoint's permission says more
                return await super().__call__(scope, receive, self._noting(scope, hardened(send)))
        permission, endpoint = short
        try:
            require(scope[PRINCIPAL], permission)
            body, kind = await endpoint(scope, receive)
        except (Problem, ForeshockError) as exc:
            send = self._noting(scope, hardened(send))
            return await problem_response(Request(scope), problem_of(exc))(scope, receive, send)
        except ClientDisconnect:  # in the middle of its body: there is nobody to answer
            return
        except Exception:  # the last boundary: Serve logs it
            await problem_response(Request(scope), INTERNAL)(scope, receive, send)
            raise
        headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), *GUARDED, DATA_ONLY]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _principal(self, scope: Scope) -> Principal:
        """Return who asks; what was looked up a moment ago costs one look into a table."""
        key, cookie = credential_of(scope)
        verifier, limits = self.verifier(), None if self.limits is None else self.limits()
        found = verifier.known(key)
        if found is None:
            try:
                found = await asyncio.to_thread(verifier.identify, key)
            except AccessError:
                if limits is not None and key is not None:
                    await limits.failed(address_of(scope))
                raise
        if cookie is not None:
            check_csrf(scope, cookie)
        if limits is not None and limits.due(found):
            await limits.settle(found)
        return found

    def _noting(self, scope: Scope, send: Send) -> Send:
        """Tell of a request before it is answered: of a refusal (403), and of who sees something."""
        noted, principal = self.noted, scope.get(PRINCIPAL)
        if noted is None or not isinstance(principal, Principal) or scope["type"] != "http":
            return send

        async def note(message: Message) -> None:
            if message["type"] == "http.response.start" and (message["status"] == 403 or scope["method"] == "GET"):
                address = address_of(scope)
                await asyncio.to_thread(
                    noted, principal, scope["method"], scope["path"], address, message["status"]
                )
            await send(message)

        return note

    async def _admitted(self, scope: Scope, send: Send) -> Send:
        """Count a request that needs no token by its address; where it signs somebody in, its failures, too."""
        if self.limits is None:
            return send
        limits, address = self.limits(), address_of(scope)
        await limits.admit(address, scope["path"])
        if scope["path"] not in SIGN_IN:
            return send
        await limits.check_failures(address)  # before the password is looked at

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 401:
                with contextlib.suppress(Problem):  # the answer has begun; the next one is refused
                    await limits.failed(address)
            await send(message)

        return watch

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            document = super().openapi()
            components = document.setdefault("components", {})
            components["schemas"] = _referred(document) | components.get("schemas", {})
            components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            document["security"] = [{"token": []}]
            describe(self, document)
            self.openapi_schema = document
        return self.openapi_schema


def hardened(send: Send) -> Send:
    """Add the headers that keep a browser from doing more with an answer than to show it."""

    async def add(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            known = {name.lower(): value for name, value in headers}
            more = list(GUARDED)
            if not known.get(b"content-type", b"").startswith(b"text/html"):
                more.append(DATA_ONLY)
            message["headers"] = [*headers, *((name, value) for name, value in more if name not in known)]
        await send(message)

    return add


class _Answer:
    """Ends the connection of a request that is answered before its body has been read.

    Its client could go on sending for as long as it likes, and hold a connection. It is given `LINGER` seconds: one
    that reads only after it has sent everything would else see a broken connection in place of the answer.
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self.read = False

    async def receive(self) -> Message:
        message = await self._receive()
        self.read = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if not self.read and message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
        if not self.read and message["type"] == "http.response.body" and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._linger()
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    async def _linger(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                while not self.read:
                    await self.receive()


def has_body(scope: Scope) -> bool:
    """Check whether a request says that it has a body."""
    if header_of(scope, b"transfer-encoding") is not None:
        return True
    return (header_of(scope, b"content-length") or "0") != "0"


def header_of(scope: Scope, name: bytes) -> str | None:
    """A header of a request, by its name in lower case."""
    for key, value in scope["headers"]:
        if key == name:
            found: str = value.decode("latin-1")
            return found
    return None


def _referred(document: dict[str, Any]) -> dict[str, Any]:
    """Take the ``$defs`` out of the schemas of bodies: in OpenAPI they have one common place."""
    found: dict[str, Any] = {}
    for operations in document["paths"].values():
        for operation in operations.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                found |= content["schema"].pop("$defs", {})
    return found
