"""Limits that several processes count together in Redis, and what holds while it is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.servers import servers

from foreshock.api.errors import Problem
from foreshock.api.limiting import Limits
from foreshock.identity.model import Principal
from foreshock.settings import load_settings
from foreshock_models.errors import ConfigError

WIDE = {"limit_address": "100000 per minute"}
ANNA = Principal("person", "1", "anna", "default", ())


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with servers.redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def emptied(redis_url: str) -> str:
    import redis

    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    return redis_url


def processes(url: str, **limits: str) -> tuple[Limits, Limits]:
    """As two processes of the API have them."""
    settings = load_settings(redis_url=url, **{**WIDE, **limits})
    return Limits(settings), Limits(settings)


async def asked(limits: Limits, who: Principal) -> None:
    if limits.due(who):
        await limits.settle(who)


def passed(*acts: Any) -> int:
    """Return the number of these requests that are let through."""

    async def go() -> int:
        found = 0
        for act in acts:
            try:
                await act()
            except Problem as exc:
                assert exc.status == 429
                assert {"Retry-After", "RateLimit", "RateLimit-Policy"} <= exc.headers.keys()
            else:
                found += 1
        return found

    return asyncio.run(go())


def test_a_person_has_one_limit_in_all_processes(emptied: str) -> None:
    here, there = processes(emptied, limit_person="10 per minute")
    acts = [lambda each=each: asked(each, ANNA) for each in [here, there] * 10]
    assert passed(*acts) == 10


def test_an_address_that_fails_at_one_process_has_to_wait_at_all(emptied: str) -> None:
    here, there = processes(emptied, limit_failures="5 per minute")
    assert passed(*[lambda: here.failed("10.0.0.1")] * 9) == 5
    assert passed(lambda: there.check_failures("10.0.0.1")) == 0
    assert passed(lambda: there.check_failures("10.0.0.2")) == 1


def test_people_and_programs_of_a_tenant_share_its_limit(emptied: str) -> None:
    (here, _) = processes(emptied, limit_tenant="4 per minute")
    people = [Principal("person", str(n), f"p{n}", "acme", ()) for n in range(3)]
    program = Principal("token", "t", "ci", "acme", ())
    other = Principal("person", "9", "bea", "default", ())
    acts = [lambda who=who: asked(here, who) for who in [*people, program, people[0]]]
    assert passed(*acts) == 4
    assert passed(lambda: asked(here, other)) == 1


def test_while_redis_is_away_limits_hold_in_each_process_and_it_is_logged_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from foreshock.api import counters

    monkeypatch.setattr(counters, "PAUSE", 0.3)
    port = servers.free_port()
    with servers.redis(tmp_path, port=port) as url:
        here, _ = processes(url, limit_failures="5 per minute", limit_person="10 per minute")
        assert passed(*[lambda: here.failed("10.0.0.1")] * 3) == 3
    began = time.monotonic()
    assert passed(*[lambda: here.failed("10.0.0.1")] * 9) == 2  # what failed before is not forgotten
    assert passed(lambda: here.check_failures("10.0.0.1")) == 0
    assert passed(*[lambda: asked(here, ANNA)] * 15) == 10
    assert time.monotonic() - began < 5
    assert "".join(capsys.readouterr()).count("Redis is away") == 1
    with servers.redis(tmp_path, port=port):
        time.sleep(0.4)
        assert passed(lambda: here.check_failures("10.0.0.1")) == 0  # it came back empty
        assert passed(lambda: here.check_failures("10.0.0.2")) == 1
        assert "".join(capsys.readouterr()).count("Redis counts requests again") == 1


def test_a_redis_that_does_not_answer_holds_a_request_up_for_a_moment_only() -> None:
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        here, _ = processes(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", limit_failures="5 per minute")
        began = time.monotonic()
        assert passed(*[lambda: here.failed("10.0.0.1")] * 9) == 5
        assert time.monotonic() - began < 2


def test_a_password_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with servers.redis(tmp_path, password="open-sesame") as url:
        monkeypatch.setenv("REDIS_URL", url)
        monkeypatch.setenv("REDIS_PASSWORD", "open-sesame")
        settings = load_settings(limit_failures="1 per minute")
        assert "open-sesame" not in repr(settings)
        here, there = Limits(settings), Limits(settings)
        assert passed(lambda: here.failed("10.0.0.1"), lambda: there.check_failures("10.0.0.1")) == 1


@pytest.mark.parametrize("value", ["localhost:6379", "http://localhost", "redis://", "redis://localhost:port"])
def test_an_url_of_no_redis_is_refused_at_start(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", value)
    with pytest.raises(ConfigError, match="REDIS_URL"):
        load_settings()
