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

from foreshock.api.authorization import allow, require
from foreshock.api.bodies import checked
from foreshock.api.errors import Problem
from foreshock.api.feed import TYPES, Client, Feed, TooSlow
from foreshock.api.schemas import Body
from foreshock.identity.model import Principal
from foreshock.store.scope import unscoped
from foreshock_models.errors import ForeshockError

__all__ = ["WEBSOCKET", "add_feed"]

WEBSOCKET = "/ws/notifications"
PROTOCOL = "foreshock"
BEARER = "bearer."
PATIENCE = 10.0
"""Seconds until the first message, which says who it is."""
SEND_SECONDS = 20.0
LARGEST = 8192
REFUSED, SLOW, AGAIN = 1008, 1013, 1012
"""Codes of closing: policy violation, try again later, service restart."""


class Hello(Body):
    """The first message of a client."""

    token: str | None = Field(None, max_length=4096)
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
        client = Client(caller.tenant, TYPES, caller.jobs("events:read"))
        begin = last_event_id if last_event_id is not None else since
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        lines = _lines(_feed(backend()), client, begin)
        return StreamingResponse(lines, media_type="text/event-stream", headers=headers)


async def _lines(feed: Feed, client: Client, since: int | None) -> AsyncIterator[bytes]:
    yield b"retry: 2000\n\n"
    try:
        async for text in feed.listen(client, since):
            if text is None:
                yield b": nothing new\n\n"
            else:
                yield b"id: %d\ndata: %s\n\n" % (orjson.loads(text)["seq"], text)
    except TooSlow as exc:
        yield b"event: problem\ndata: %s\n\n" % orjson.dumps({"detail": str(exc)})
    except ForeshockError:
        yield b'event: problem\ndata: {"detail": "the store does not answer"}\n\n'


async def _serve(socket: WebSocket, here: Any) -> None:
    offered = socket.scope.get("subprotocols", [])
    await socket.accept(subprotocol=PROTOCOL if PROTOCOL in offered else None)
    try:
        hello, principal = await asyncio.wait_for(_greet(socket, here, offered), PATIENCE)
    except (Problem, ForeshockError) as exc:
        return await _close(socket, REFUSED, str(exc))
    except TimeoutError:
        return await _close(socket, REFUSED, f"no first message within {PATIENCE:g} s")
    except WebSocketDisconnect:
        return
    client = Client(principal.tenant, hello.types, principal.jobs("events:read"))
    reading = asyncio.create_task(_until_gone(socket))
    writing = asyncio.create_task(_write(socket, _feed(here), client, hello.since))
    _, pending = await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    if writing.done() and not writing.cancelled() and (why := writing.result()) is not None:
        await _close(socket, *why)


async def _greet(socket: WebSocket, here: Any, offered: list[str]) -> tuple[Hello, Principal]:
    """Return who a client is, by its sub-protocol or its first message, and what it wants."""
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
    with unscoped():
        principal: Principal = await asyncio.to_thread(here.verifier.principal, token)
    require(principal, "events:read")
    return hello, principal


async def _write(socket: WebSocket, feed: Feed, client: Client, since: int | None) -> tuple[int, str] | None:
    """Send messages until the client is gone; gives why it is to be closed."""
    try:
        async for text in feed.listen(client, since):
            data = text if text is not None else b'{"type":"ping"}'
            await asyncio.wait_for(socket.send_text(data.decode()), SEND_SECONDS)
    except TooSlow as exc:
        return SLOW, str(exc)
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
