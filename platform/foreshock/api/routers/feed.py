"""``/ws/notifications``, and the same as server-sent events: what happens, as it happens."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import orjson
from fastapi import FastAPI, Header, Query, Request, WebSocket, WebSocketDisconnect
from pydantic import Field
from starlette.responses import StreamingResponse

from foreshock.api.authorization import address_of, allow, require
from foreshock.api.bodies import checked
from foreshock.api.cookies import SESSION, cookie_of, credential_of, csrf_matches
from foreshock.api.errors import Problem
from foreshock.api.feed import TYPES, Client, Feed, TooSlow
from foreshock.api.schemas import Body
from foreshock.identity.model import Principal
from foreshock.identity.verification import cookie_key
from foreshock.store.scope import unscoped
from foreshock_models.errors import AccessError, ForeshockError, StoreError

__all__ = ["WEBSOCKET", "add_feed"]

WEBSOCKET = "/ws/notifications"
PROTOCOL = "foreshock"
BEARER = "bearer."
PATIENCE = 10.0
"""Seconds until the first message, which says who it is."""
SEND_SECONDS = 20.0
RECHECK = 1.0
"""Seconds between two looks whether a client may still listen; with what is remembered of tokens, less than 5."""
LARGEST = 8192
REFUSED, SLOW, AGAIN = 1008, 1013, 1012
"""Codes of closing: policy violation, try again later, service restart."""


class Hello(Body):
    """The first message of a client."""

    token: str | None = Field(None, max_length=4096)
    csrf: str | None = Field(None, max_length=128, description="of a browser that has signed in by a cookie")
    since: int | None = Field(None, ge=0, le=2**62)
    types: list[str] = Field(list(TYPES), max_length=10)


def add_feed(app: FastAPI, backend: Callable[[], Any]) -> None:
    """Add the routes; `backend` gives the `Ingress` of this replica."""

    @app.websocket(WEBSOCKET)
    async def notifications(socket: WebSocket) -> None:
        """Events as JSON messages. The first message is ``{"token": ..., "since": seq}``."""
        await _serve(socket, backend())

    @app.get("/events/stream", tags=["events"])
    async def stream(
        request: Request,
        caller: Annotated[Principal, allow("events:read")],
        since: Annotated[int | None, Query(ge=0, le=2**62, description="events behind this number")] = None,
        last_event_id: Annotated[
            int | None, Header(ge=0, le=2**62, description="as `since`; browsers send it when they connect again")
        ] = None,
    ) -> StreamingResponse:
        """Events as server-sent events, for those whose proxy lets no WebSocket through."""
        here = backend()
        client = Client(caller.tenant, TYPES, caller.jobs("events:read"))
        begin = last_event_id if last_event_id is not None else since
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        key, _ = credential_of(request.scope)
        lines = _lines(here, str(key), client, begin)
        return StreamingResponse(lines, media_type="text/event-stream", headers=headers)


async def _lines(here: Any, key: str, client: Client, since: int | None) -> AsyncIterator[bytes]:
    watching = asyncio.create_task(_until_over(here, key, client))
    try:
        yield b"retry: 2000\n\n"
        async for text in _feed(here).listen(client, since):
            if text is None:
                yield b": nothing new\n\n"
            else:
                yield b"id: %d\ndata: %s\n\n" % (orjson.loads(text)["seq"], text)
    except TooSlow as exc:
        yield b"event: problem\ndata: %s\n\n" % orjson.dumps({"detail": str(exc)})
    except AccessError as exc:
        yield b"event: problem\ndata: %s\n\n" % orjson.dumps({"detail": str(exc)})
    except ForeshockError:
        yield b'event: problem\ndata: {"detail": "the store does not answer"}\n\n'
    finally:
        watching.cancel()


async def _serve(socket: WebSocket, here: Any) -> None:
    offered = socket.scope.get("subprotocols", [])
    await socket.accept(subprotocol=PROTOCOL if PROTOCOL in offered else None)
    try:
        hello, key, principal = await asyncio.wait_for(_greet(socket, here, offered), PATIENCE)
        if (noted := socket.app.noted) is not None:  # to listen is to read
            await asyncio.to_thread(noted, principal, "WEBSOCKET", WEBSOCKET, address_of(socket.scope), 101)
    except (Problem, ForeshockError) as exc:
        if isinstance(exc, AccessError):
            await _note_failure(socket)
        return await _close(socket, REFUSED, str(exc))
    except TimeoutError:
        return await _close(socket, REFUSED, f"no first message within {PATIENCE:g} s")
    except WebSocketDisconnect:
        return
    client = Client(principal.tenant, hello.types, principal.jobs("events:read"))
    reading = asyncio.create_task(_until_gone(socket))
    writing = asyncio.create_task(_write(socket, _feed(here), client, hello.since))
    watching = asyncio.create_task(_until_over(here, key, client))
    _, pending = await asyncio.wait({reading, writing, watching}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    if not watching.cancelled():
        await _close(socket, REFUSED, watching.result())
    elif not writing.cancelled() and (why := writing.result()) is not None:
        await _close(socket, *why)


async def _note_failure(socket: WebSocket) -> None:
    """Count a wrong token as a failure of its address, as where it is sent in a header."""
    if socket.app.limits is not None:
        with contextlib.suppress(Problem):  # the next one is refused
            await socket.app.limits().failed(address_of(socket.scope))


async def _until_over(here: Any, key: str, client: Client) -> str:
    """Look again and again whether a client may still listen, and to what; gives why it may not.

    While the store is away it goes on: nothing can be revoked then, and nothing comes.
    """
    while True:
        await asyncio.sleep(RECHECK)
        try:
            principal = here.verifier.known(key)
            if principal is None:
                with unscoped():
                    principal = await asyncio.to_thread(here.verifier.identify, key)
            require(principal, "events:read")
        except (AccessError, Problem) as exc:
            client.end(str(exc))
            return str(exc)
        except StoreError:
            continue
        if principal.tenant != client.tenant:
            client.end("moved to another tenant; connect again")
            return str(client.over)
        client.jobs = principal.jobs("events:read")


async def _greet(socket: WebSocket, here: Any, offered: list[str]) -> tuple[Hello, str, Principal]:
    """Return what a client wants, and who it is: by its sub-protocol, its first message, or a browser's cookie."""
    token = next((each.removeprefix(BEARER) for each in offered if each.startswith(BEARER)), None)
    hello = Hello()
    if token is None or PROTOCOL not in offered:
        text = await socket.receive_text()
        if len(text) > LARGEST:
            raise Problem(413, f"the first message has more than {LARGEST} characters")
        try:
            given = orjson.loads(text)
        except orjson.JSONDecodeError as exc:
            raise Problem(422, 'the first message is JSON: {"token": "...", "since": 0}') from exc
        hello = checked(Hello, given)
        token = token or hello.token
    wrong = [kind for kind in hello.types if kind not in TYPES]
    if wrong:
        raise Problem(422, f"no type {wrong[0]!r}; allowed: {', '.join(TYPES)}")
    key = _key(socket, token, hello.csrf)
    with unscoped():
        principal: Principal = await asyncio.to_thread(here.verifier.identify, key)
    require(principal, "events:read")
    return hello, key, principal


def _key(socket: WebSocket, token: str | None, csrf: str | None) -> str:
    """Return what shows who a client is; a cookie counts with its CSRF token: other sites can open sockets, too."""
    if token is not None:
        return f"Bearer {token}"
    cookie = cookie_of(socket.scope, SESSION)
    if cookie is None or not csrf_matches(cookie, csrf):
        raise AccessError(
            'say who you are in the first message: {"token": "..."}, or {"csrf": "..."} with a cookie'
        )
    return cookie_key(cookie)


async def _write(socket: WebSocket, feed: Feed, client: Client, since: int | None) -> tuple[int, str] | None:
    """Send messages until the client is gone; gives why it is to be closed."""
    try:
        async for text in feed.listen(client, since):
            data = text if text is not None else b'{"type":"ping"}'
            await asyncio.wait_for(socket.send_text(data.decode()), SEND_SECONDS)
    except TooSlow as exc:
        return SLOW, str(exc)
    except AccessError as exc:
        return REFUSED, str(exc)
    except TimeoutError:
        return SLOW, "a message was not taken in time"
    except ForeshockError:
        return AGAIN, "the store does not answer; connect again"
    except (WebSocketDisconnect, RuntimeError):  # it went away in the middle
        return None
    return None


async def _until_gone(socket: WebSocket) -> None:
    """Read, and throw away, until the client is gone."""
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while True:
            await socket.receive_text()


async def _close(socket: WebSocket, code: int, why: str) -> None:
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await socket.close(code, why.encode()[:120].decode(errors="ignore"))


def _feed(here: Any) -> Feed:
    """The feed of this replica."""
    found: Feed | None = getattr(here, "feed", None)
    if found is None:
        found = here.feed = Feed(here.store)
    return found
