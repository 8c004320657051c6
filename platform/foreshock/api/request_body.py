"""Receive the body of a request: bounded in size, in time, and in the memory that all bodies take together."""

from __future__ import annotations

import asyncio
from types import TracebackType

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from foreshock.api.asgi import header_of
from foreshock.api.errors import Problem

__all__ = ["BodyMemory", "Reservation", "content_type", "receive_body"]

PATIENCE = 10.0
"""Seconds that a body may take to arrive, and one more for each `SLOWEST` bytes that came."""
SLOWEST = 128 * 2**10
LARGE = 64 * 2**10
"""Bytes from which on a body counts; smaller ones are gone within milliseconds."""


class BodyMemory:
    """Memory that large requests of one process take together.

    A request is refused (503) while others hold so much that it does not fit; alone, it always fits.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.reserved = 0

    def reserve(self) -> Reservation:
        """Begin the reservation of one request: ``with memory.reserve() as reservation``."""
        return Reservation(self)


class Reservation:
    """Memory that one request has reserved; released at the end of its block."""

    def __init__(self, memory: BodyMemory) -> None:
        self.memory = memory
        self.size = 0

    def add(self, size: int) -> None:
        """Reserve more.

        Raises
        ------
        Problem
            503: other requests hold too much.
        """
        memory = self.memory
        if memory.reserved + size > memory.most and memory.reserved > self.size:
            raise Problem(503, "too many large requests are under way; try again in a moment")
        memory.reserved += size
        self.size += size

    def __enter__(self) -> Reservation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.memory.reserved -= self.size
        self.size = 0


def content_type(scope: Scope) -> str:
    """Content type of a request, in lower case and without parameters."""
    return (header_of(scope, b"content-type") or "").partition(";")[0].strip().lower()


async def receive_body(scope: Scope, receive: Receive, limit: int, reservation: Reservation | None = None) -> bytes:
    """Return the body.

    Raises
    ------
    Problem
        408 if it comes too slowly, 413 as soon as it is over `limit`, 503 if large requests hold too much already.
    ClientDisconnect
        The client went away.
    """
    if int(header_of(scope, b"content-length") or 0) > limit:
        raise _too_large(limit)
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with asyncio.timeout_at(began + PATIENCE) as deadline:
            message = await receive()
            part: bytes = message.get("body", b"")
            if not message.get("more_body", False) and message["type"] == "http.request":
                if len(part) > limit:
                    raise _too_large(limit)
                return part  # as nearly all do
            parts, size = [], 0
            while True:
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                parts.append(part)
                size += len(part)
                if size > limit:
                    raise _too_large(limit)
                if reservation is not None and size > LARGE:
                    reservation.add(size - reservation.size)
                if not message.get("more_body", False):
                    return b"".join(parts)
                deadline.reschedule(began + PATIENCE + size / SLOWEST)
                message = await receive()
                part = message.get("body", b"")
    except TimeoutError as exc:
        raise Problem(
            408, f"the body did not arrive within {PATIENCE:g} s and one second more for each {SLOWEST:,} bytes"
        ) from exc


def _too_large(limit: int) -> Problem:
    return Problem(413, f"the body is larger than {limit} bytes (FORESHOCK_MAX_BODY); send fewer rows")
