"""Limits of requests, and headers that keep browsers in bounds."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from foreshock.api.errors import Problem
from foreshock.api.limiting import Limits
from foreshock.identity.model import everything
from foreshock.identity.tokens import Tokens
from foreshock.settings import load_settings
from foreshock_models.errors import ConfigError


def limited(application: Any, **limits: str) -> None:
    application.ingress.identity.limits = Limits(load_settings(home=application.ingress.settings.home, **limits))


def test_an_address_that_fails_too_often_has_to_wait_and_others_do_not(
    application: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORESHOCK_PROXY_SECRET", "the-secret-of-this-run")
    limited(application, limit_failures="5 per minute")
    lies = [b"10.9.9.9", b"- 10.9.9.9", b" 10.9.9.9", b"the-secret 10.9.9.9", b""]
    other = [(b"x-foreshock-client", b"the-secret-of-this-run 10.9.9.9")]
    body = {"name": "nobody", "password": "wrong"}
    found = [application.ask("POST", "/auth/login", None, body).status for _ in range(3)]
    found += [application.ask("GET", "/auth/me", f"wrong-{n}").status for n in range(3)]
    assert found == [401, 401, 401, 401, 401, 429]
    refused = application.ask("POST", "/auth/login", None, body)
    assert refused.status == 429
    assert refused.headers[b"content-type"] == b"application/problem+json"
    assert 1 <= int(refused.headers[b"retry-after"]) <= 60
    assert refused.headers[b"ratelimit-policy"] == b'"failures";q=5;w=60'
    assert refused.headers[b"ratelimit"].startswith(b'"failures";r=0;t=')
    for lie in lies:  # only the proxy knows the secret
        told = [(b"x-foreshock-client", lie)]
        assert application.ask("GET", "/auth/me", "wrong-x", headers=told).status == 429
    assert application.ask("GET", "/auth/me", "wrong-x", headers=other).status == 401
    for path in ("/healthz", "/openapi.json"):
        assert application.ask("GET", path, None).status == 200


def test_a_good_token_is_not_locked_out_with_its_address(application: Any) -> None:
    """Whether it was seen before or not: a broken program locks out none of its neighbours."""
    by = everything("local", "root")
    _, token = Tokens(application.store).make("program", ["viewer"], by=by)
    limited(application, limit_failures="1 per minute")
    application.ask("GET", "/auth/me", "wrong")
    assert application.ask("GET", "/auth/me", "wrong").status == 429
    assert application.ask("GET", "/auth/me").status == 200
    assert application.ask("GET", "/auth/me", token).status == 200
    body = {"name": "nobody", "password": "wrong"}
    assert application.ask("POST", "/auth/login", None, body).status == 429


def test_requests_of_a_program_are_limited_by_its_token(application: Any) -> None:
    limited(application, limit_program="5 per minute")
    by = everything("local", "root")
    tokens = [Tokens(application.store).make(name, ["viewer"], by=by)[1] for name in ("one", "two")]
    assert [application.ask("GET", "/auth/me", tokens[0]).status for _ in range(7)] == [200] * 5 + [429] * 2
    assert application.ask("GET", "/auth/me", tokens[1]).status == 200
    assert application.ask("GET", "/auth/me").status == 200


def test_a_large_limit_is_counted_in_parts_and_holds_within_one_of_them() -> None:
    limits = Limits(load_settings(limit_person="1000 per minute"))
    who = everything("local", "x")
    person = type(who)("person", "1", "anna", "default", ())
    passed = 0

    async def ask() -> None:
        nonlocal passed
        for _ in range(2000):
            if limits.due(person):
                await limits.settle(person)
            passed += 1

    with pytest.raises(Problem, match="at most 1000 per 1 minute"):
        asyncio.run(ask())
    assert 990 <= passed <= 1010


def test_requests_without_a_token_are_limited_by_their_address_and_those_of_health_less(application: Any) -> None:
    limited(application, limit_address="5 per minute")
    found = [application.ask("GET", "/openapi.json", None) for _ in range(7)]
    assert [answer.status for answer in found] == [200] * 5 + [429] * 2
    assert found[-1].headers[b"ratelimit-policy"] == b'"address";q=5;w=60'
    assert [application.ask("GET", "/healthz", None).status for _ in range(52)].count(200) == 50
    assert application.ask("GET", "/auth/me").status == 200


def test_an_address_that_failed_may_send_fewer_requests(application: Any) -> None:
    limited(application, limit_address="20 per minute", limit_failures="10 per minute")
    for n in range(4):
        assert application.ask("GET", "/auth/me", f"wrong-{n}").status == 401
    found = [application.ask("GET", "/openapi.json", None).status for _ in range(7)]
    assert found == [200] * 4 + [429] * 3  # each counts for five
    assert application.ask("GET", "/healthz", None).status == 200


def test_a_tenant_has_a_limit_over_its_people_and_programs(application: Any) -> None:
    limited(application, limit_tenant="4 per minute")
    by = everything("local", "root")
    tokens = [Tokens(application.store).make(name, ["viewer"], by=by)[1] for name in ("one", "two")]
    found = [application.ask("GET", "/auth/me", token).status for token in tokens * 3]
    assert found == [200] * 4 + [429] * 2
    assert application.ask("GET", "/auth/me").status == 200  # the installation's own token


@pytest.mark.parametrize("value", ["", "5", "five per minute", "0 per minute", "5 per fortnight", "-1 per day"])
def test_a_limit_that_is_none_is_refused_at_start(value: str) -> None:
    with pytest.raises(ConfigError, match="FORESHOCK_LIMIT_PERSON"):
        load_settings(limit_person=value)


@pytest.mark.parametrize(
    ("method", "path", "token"),
    [("GET", "/ai/models", None), ("GET", "/healthz", None), ("POST", "/ai/score", "x"), ("GET", "/auth/me", None)],
)
def test_every_answer_tells_browsers_to_do_nothing_with_it(
    application: Any, method: str, path: str, token: str | None
) -> None:
    headers = application.ask(method, path, token).headers
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert headers[b"content-security-policy"] == b"default-src 'none'; frame-ancestors 'none'"
    assert headers[b"x-frame-options"] == b"DENY"
    assert b"access-control-allow-origin" not in headers


def test_limits_that_change_hold_from_the_next_request_on(application: Any) -> None:
    limited(application, limit_failures="1000 per minute")
    assert [application.ask("GET", "/auth/me", f"wrong-{n}").status for n in range(3)] == [401, 401, 401]
    application.ingress.identity.limits.change(load_settings(limit_failures="2 per minute"))
    assert [application.ask("GET", "/auth/me", f"wrong-{n}").status for n in range(3, 6)] == [401, 401, 429]
    application.ingress.identity.limits.change(load_settings(limit_failures="1000 per minute"))
    assert application.ask("GET", "/auth/me", "wrong-7").status == 401
