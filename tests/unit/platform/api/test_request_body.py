"""Bodies arrive whole, in time, and within the memory that is theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from foreshock.api import request_body
from foreshock.api.errors import Problem
from foreshock.api.request_body import LARGE, BodyMemory, receive_body


def body(parts: Sequence[Any], *, limit: int = 10**6, length: int | None = None, reservation: Any = None) -> bytes:
    """Receive parts: bytes, a number of seconds to wait, or None for a client that goes away."""
    left = list(parts)

    async def receive() -> Any:
        while left and isinstance(left[0], float):
            await asyncio.sleep(left.pop(0))
        if not left:
            await asyncio.Event().wait()
        part = left.pop(0)
        if part is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": part, "more_body": part != b"" and not part.endswith(b"!")}

    headers = [] if length is None else [(b"content-length", b"%d" % length)]
    return asyncio.run(receive_body({"type": "http", "headers": headers}, receive, limit, reservation))


def test_parts_become_one_body() -> None:
    assert body([b"all!"]) == b"all!"
    assert body([b"a", b"b", b"", b"never"]) == b"ab"
    assert body([b"a", 0.01, b"b!"]) == b"ab!"


@pytest.mark.parametrize(
    ("parts", "length"),
    [([b"x" * 11 + b"!"], None), ([b"x" * 6, b"x" * 6], None), ([], 11), ([b"x" * 9, b"xx"], 9)],
)
def test_a_body_over_the_limit_is_413_as_soon_as_it_is_known(parts: list[bytes], length: int | None) -> None:
    with pytest.raises(Problem, match="larger than 10 bytes") as found:
        body(parts, limit=10, length=length)
    assert found.value.status == 413


@pytest.mark.parametrize("parts", [[], [b"begun"], [b"a", 0.15, b"b", 0.15, b"c", 0.15, b"d", 0.15, b"!"]])
def test_a_body_that_does_not_come_in_time_is_408(parts: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """However it is spread."""
    monkeypatch.setattr(request_body, "PATIENCE", 0.4)
    with pytest.raises(Problem, match="did not arrive within") as found:
        body(parts)
    assert found.value.status == 408


def test_a_large_body_has_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_body, "PATIENCE", 0.2)
    part = b"x" * request_body.SLOWEST
    assert len(body([part, 0.3, part, 0.3, b"!"])) == 2 * len(part) + 1


def test_a_client_that_goes_away_ends_it() -> None:
    with pytest.raises(ClientDisconnect):
        body([b"half", None])


def test_large_bodies_are_counted_together_and_given_back() -> None:
    memory = BodyMemory(3 * LARGE)
    large = b"x" * (2 * LARGE)
    with memory.reserve() as one:
        body([large, b"!"], reservation=one)
        assert memory.reserved == len(large) + 1
        with memory.reserve() as other:
            assert body([b"small!"], reservation=other) == b"small!"
            with pytest.raises(Problem, match="large requests are under way") as found:
                body([large, b"!"], reservation=other)
        assert found.value.status == 503
        assert memory.reserved == len(large) + 1
    assert memory.reserved == 0


def test_a_request_that_is_alone_always_fits() -> None:
    memory = BodyMemory(LARGE)
    with memory.reserve() as reservation:
        assert len(body([b"x" * LARGE, b"x" * LARGE, b"!"], reservation=reservation)) == 2 * LARGE + 1
        reservation.add(10**9)
    assert memory.reserved == 0
