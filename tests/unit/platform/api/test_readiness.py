"""Whether a replica can do its work."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from foreshock.api import readiness
from foreshock.api.readiness import StoreProbe
from foreshock.store import open_store
from foreshock.store.store import Store
from foreshock_models.errors import StoreError


class Logger:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def warning(self, text: str, **_: Any) -> None:
        self.said.append(text)


class Fragile(Store):
    """A store that can be taken away, and counts how often it is asked."""

    away = False
    asked = 0

    def check(self) -> None:
        self.asked += 1
        if self.away:
            raise StoreError("refused")
        super().check()


@pytest.fixture
def store(tmp_path: Path) -> Fragile:
    return Fragile(open_store(f"sqlite:///{tmp_path / 'a.db'}").engine)


def test_a_store_that_goes_and_comes_back_is_said_once_each(
    store: Fragile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "FRESH", 0.0)
    logger = Logger()

    async def watch() -> list[bool]:
        probe, found = StoreProbe(store, logger), []
        for away in (False, True, True, False, False):
            store.away = away
            found.append(await probe.answers())
        return found

    assert asyncio.run(watch()) == [True, False, False, True, True]
    assert logger.said == ["the store is away; trying again", "the store is back"]


def test_many_who_ask_at_once_are_one_question(store: Fragile) -> None:
    async def watch() -> list[bool]:
        probe = StoreProbe(store, Logger())
        found = await asyncio.gather(*(probe.answers() for _ in range(100)))
        return [*found, await probe.answers()]

    assert all(asyncio.run(watch()))
    assert store.asked == 1


def test_a_store_that_does_not_answer_is_not_waited_for(store: Fragile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "PATIENCE", 0.1)
    released = threading.Event()
    monkeypatch.setattr(store, "check", released.wait)

    async def watch() -> bool:
        try:
            return await StoreProbe(store, Logger()).answers()
        finally:
            released.set()

    assert asyncio.run(watch()) is False
