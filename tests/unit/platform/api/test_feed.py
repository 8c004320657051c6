"""The feed of events inside a process, on a real store."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from foreshock.api.feed import Client, Feed, TooSlow, message
from foreshock.events.repository import EventRepository


def happens(house: Any, *subjects: str, type_: str = "incident") -> None:
    with house.store.begin() as c:
        for subject in subjects:
            EventRepository(house.store).append(c, type_, subject, {"event": "opened", "kind": "anomaly"}, 5)


def test_a_slow_client_is_dropped_and_the_others_get_everything(house: Any) -> None:
    async def go() -> tuple[int, bool]:
        feed = Feed(house.store)
        quick, slow = Client("default"), Client("default", queue=asyncio.Queue(3))
        got = 0
        listening, stalling = feed.listen(quick, None), feed.listen(slow, None)
        first, stalled = asyncio.ensure_future(anext(listening)), asyncio.ensure_future(anext(stalling))
        await asyncio.sleep(0.1)
        await asyncio.to_thread(happens, house, *(f"i{n}" for n in range(20)))
        await first
        await stalled
        got = 1
        while got < 20:
            await anext(listening)
            got += 1
        with pytest.raises(TooSlow):
            for _ in range(20):
                await anext(stalling)
        return got, slow.dropped

    assert asyncio.run(go()) == (20, True)


def test_a_thousand_clients_each_get_each_message_once_and_in_order(house: Any) -> None:
    async def go() -> list[list[int]]:
        feed = Feed(house.store)

        async def client(number: int) -> list[int]:
            found: list[int] = []
            async for text in feed.listen(Client("default"), 0 if number % 2 else None):
                if text is not None:
                    found.append(json.loads(text)["seq"])
                    if found[-1] == 30:
                        return found
            return found

        happens(house, *(f"i{n}" for n in range(10)))
        clients = [asyncio.ensure_future(client(number)) for number in range(1000)]
        while sum(map(len, feed.clients.values())) < 1000:
            await asyncio.sleep(0.05)
        await asyncio.to_thread(happens, house, *(f"i{n}" for n in range(10, 30)))
        return await asyncio.gather(*clients)

    found = asyncio.run(go())
    assert all(seqs == list(range(1 if number % 2 else 11, 31)) for number, seqs in enumerate(found))


def test_who_may_see_one_job_only_sees_events_of_that_job(house: Any) -> None:
    house.alert("a", job="red")
    house.alert("b", job="blue")
    house.gather()
    client = Client("default", jobs=["re*"])
    seen = [e.subject for e in EventRepository(house.store).since(0) if client.wants(message(e)[0], e)]
    assert seen == ["a"]
