"""The feed of events: one look into the store for all clients of a replica; slow clients are dropped.

A client is subscribed before it is given what it missed, so that nothing falls between; numbers tell what it has
already.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import orjson

from foreshock.events.model import Event
from foreshock.events.repository import EventRepository
from foreshock.logs import Condition, get_logger
from foreshock.store.scope import Scope, within
from foreshock.store.store import Store
from foreshock_models.errors import AccessError, StoreError

__all__ = ["TYPES", "Client", "Feed", "TooSlow", "message"]

EVERY = 0.5
"""Seconds between two looks into the store, while anybody listens."""
WAITING = 500
"""Messages that wait for a client; one that is slower is dropped, and comes back with its last number."""
PAGE = 200
MOST_MISSED = 10_000
TYPES = ("notification", "anomaly", "prediction", "incident")
log = get_logger("feed")


class TooSlow(Exception):
    """A client that takes its messages more slowly than they come."""


@dataclass(eq=False)
class Client:
    """Somebody who listens.

    Attributes
    ----------
    jobs : patterns of the jobs that may be seen; None: all
    over : why nothing more is given; None: it goes on
    """

    tenant: str
    types: Collection[str] = TYPES
    jobs: Collection[str] | None = None
    queue: asyncio.Queue[tuple[int, bytes] | None] = field(default_factory=lambda: asyncio.Queue(WAITING))
    dropped: bool = False
    over: str | None = None

    def end(self, why: str) -> None:
        """Let nothing more be given to this client."""
        self.over = why
        with contextlib.suppress(asyncio.QueueFull):  # wakes it; one whose queue is full is awake
            self.queue.put_nowait(None)

    def wants(self, kind: str, event: Event) -> bool:
        if kind not in self.types:
            return False
        job = event.data.get("job")
        return self.jobs is None or (job is not None and any(fnmatchcase(job, each) for each in self.jobs))

    def put(self, seq: int, text: bytes) -> None:
        if self.dropped:
            return
        try:
            self.queue.put_nowait((seq, text))
        except asyncio.QueueFull:
            self.dropped = True


class Feed:
    """Hands events of the store to those who listen in this process."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clients: dict[str, set[Client]] = {}
        self._reached: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None

    async def listen(self, client: Client, since: int | None) -> AsyncIterator[bytes | None]:
        """Give the messages behind a number, then new ones; None now and then, where nothing came.

        Raises
        ------
        TooSlow
            The client does not keep up, or has missed more than is given at once.
        AccessError
            The client may not listen any more; see `Client.end`.
        StoreError
            The store is away.
        """
        await self._join(client)
        try:
            last = since if since is not None else self._reached[client.tenant]
            async for seq, text in self._missed(client, last):
                _check(client)
                last = seq
                yield text
            while True:
                _check(client)
                if client.dropped:
                    raise TooSlow("messages come faster than they are taken; connect again with the last seq")
                try:
                    item = await asyncio.wait_for(client.queue.get(), 20.0)
                except TimeoutError:
                    yield None
                    continue
                _check(client)
                if item is not None and item[0] > last:
                    last = item[0]
                    yield item[1]
        finally:
            self._leave(client)

    async def _join(self, client: Client) -> None:
        if client.tenant not in self._reached or client.tenant not in self.clients:
            self._reached[client.tenant] = await self._asked(
                client.tenant, lambda: EventRepository(self.store, client.tenant).newest()
            )
        self.clients.setdefault(client.tenant, set()).add(client)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch())

    def _leave(self, client: Client) -> None:
        others = self.clients.get(client.tenant, set())
        others.discard(client)
        if not others:
            self.clients.pop(client.tenant, None)

    async def _missed(self, client: Client, since: int) -> AsyncIterator[tuple[int, bytes]]:
        until, given = self._reached[client.tenant], 0
        while since < until:
            page = await self._page(client.tenant, since)
            for event in page:
                if event.seq > until:
                    return
                kind, text = message(event)
                if client.wants(kind, event):
                    given += 1
                    if given > MOST_MISSED:
                        raise TooSlow(f"more than {MOST_MISSED} messages were missed; read /incidents instead")
                    yield event.seq, text
            if not page:
                return
            since = page[-1].seq

    async def _watch(self) -> None:
        """Look for new events, for as long as anybody listens."""
        away = Condition(log, "the feed waits for the store", "the feed goes on")
        while self.clients:
            await asyncio.sleep(EVERY)
            for tenant in list(self.clients):
                with contextlib.suppress(KeyError):
                    try:
                        page = await self._page(tenant, self._reached[tenant])
                    except StoreError as exc:
                        away.raised(str(exc))
                        continue
                    away.cleared()
                    self._hand_out(tenant, page)

    def _hand_out(self, tenant: str, page: list[Event]) -> None:
        for event in page:
            kind, text = message(event)
            for client in self.clients.get(tenant, ()):
                if client.wants(kind, event):
                    client.put(event.seq, text)
            self._reached[tenant] = event.seq

    async def _page(self, tenant: str, since: int) -> list[Event]:
        types = ["alert", "incident", "notification", "prediction"]
        events = EventRepository(self.store, tenant)
        found: list[Event] = await self._asked(tenant, lambda: events.since(since, types, limit=PAGE))
        return found

    async def _asked(self, tenant: str, ask: Callable[[], Any]) -> Any:
        with within(Scope(tenant)):
            return await asyncio.to_thread(ask)


def _check(client: Client) -> None:
    if client.over is not None:
        raise AccessError(client.over)


def message(event: Event) -> tuple[str, bytes]:
    """Type and JSON of an event, as clients get it: an alert is an ``anomaly`` or a ``prediction``."""
    kind = event.type
    if kind == "alert":
        kind = "prediction" if event.data.get("kind") == "predicted" else "anomaly"
    found = event.as_json()
    data = {"id": event.subject, **found["data"]}
    return kind, orjson.dumps({"type": kind, "seq": event.seq, "at": found["at"], "data": data})
