"""Browsers sign in by a cookie; what other sites make them send changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from foreshock.api.cookies import SESSION
from foreshock.settings import load_settings
from foreshock_models.errors import ConfigError

SITE = b"https://page.example.org"


class Browser:
    """Somebody who has signed in by a cookie."""

    def __init__(self, application: Any, role: str = "viewer") -> None:
        self.application = application
        person, password = application.people.add("anna", role)
        with application.store.begin() as c:
            application.sessions._kept.change_person(c, person.id, must_change=False)
        self.login = {"name": "anna", "password": password, "cookie": True}
        self.signed_in = application.ask("POST", "/auth/login", None, self.login)
        self.token = self.signed_in.json()["csrf_token"]
        self.cookie = self.signed_in.cookies[SESSION].partition("=")[2].partition(";")[0]

    def ask(self, method: str, path: str, body: Any = None, token: str | None = None, headers: Any = ()) -> Any:
        sent = [(b"cookie", f"other=1; {SESSION}={self.cookie}".encode()), *headers]
        if token is not None:
            sent.append((b"x-csrf-token", token.encode()))
        return self.application.ask(method, path, None, body, sent)


@pytest.fixture
def browser(application: Any) -> Browser:
    return Browser(application)


def test_a_login_by_cookie_gives_no_token_to_scripts(browser: Browser) -> None:
    assert browser.signed_in.status == 200
    assert set(browser.signed_in.json()) == {"csrf_token", "must_change_password", "expires_in"}
    flags = {part.strip().lower() for part in browser.signed_in.cookies[SESSION].split(";")[1:]}
    assert flags == {"path=/", "secure", "httponly", "samesite=strict", "max-age=2592000"}
    assert browser.signed_in.headers[b"cache-control"] == b"no-store"
    assert browser.cookie not in browser.signed_in.body.decode()


def test_reading_by_cookie_needs_no_csrf_token_and_gives_it(browser: Browser) -> None:
    me = browser.ask("GET", "/auth/me")
    assert (me.status, me.json()["name"], me.json()["csrf_token"]) == (200, "anna", browser.token)
    assert browser.ask("GET", "/ai/models").status == 200
    assert browser.ask("GET", "/admin/users").status == 403


@pytest.mark.parametrize("path", ["/ai/score", "/ai/train", "/auth/logout", "/ai/silences", "/admin/users"])
def test_what_changes_something_by_cookie_needs_the_csrf_token(browser: Browser, path: str) -> None:
    for wrong in (None, "", "x", browser.cookie, browser.token[:-1], browser.token + "x", "\u00e4"):
        answer = browser.ask("POST", path, {}, wrong)
        assert (answer.status, "X-CSRF-Token" in answer.json()["detail"]) == (403, True)
    assert browser.ask("GET", "/auth/me").status == 200  # nobody was signed out
    assert "X-CSRF-Token" not in browser.ask("POST", path, {}, browser.token).body.decode()


def test_the_token_of_one_session_is_not_that_of_another(application: Any, browser: Browser) -> None:
    again = application.ask("POST", "/auth/login", None, browser.login)
    assert again.json()["csrf_token"] != browser.token
    assert browser.ask("POST", "/auth/logout", None, again.json()["csrf_token"]).status == 403


def test_a_bearer_token_needs_no_csrf_token_and_counts_before_a_cookie(application: Any, browser: Browser) -> None:
    made = application.ask("POST", "/admin/tokens", body={"name": "ci", "scopes": ["viewer"]}).json()["token"]
    cookie = [(b"cookie", f"{SESSION}={browser.cookie}".encode())]
    me = application.ask("GET", "/auth/me", made, headers=cookie).json()
    assert (me["name"], "csrf_token" in me) == ("ci", False)
    assert (
        application.ask("POST", "/admin/tokens", body={"name": "x", "scopes": ["viewer"]}, headers=cookie).status
        == 201
    )
    assert application.ask("GET", "/auth/me", "wrong", headers=cookie).status == 401


def test_logout_ends_the_session_and_takes_the_cookie_away(browser: Browser) -> None:
    answer = browser.ask("POST", "/auth/logout", None, browser.token)
    assert (answer.status, "Max-Age=0" in answer.cookies[SESSION]) == (204, True)
    assert browser.ask("GET", "/auth/me").status == 401


def test_a_cookie_of_nobody_is_refused_and_no_bearer_token(application: Any, browser: Browser) -> None:
    assert application.ask("GET", "/auth/me", browser.cookie).status == 401
    for value in ("", "x", "fsc_" + "x" * 43, browser.cookie[:-1]):
        browser.cookie = value
        assert browser.ask("GET", "/auth/me").status == 401


def test_somebody_who_is_disabled_is_out_in_every_browser(application: Any, browser: Browser) -> None:
    assert browser.ask("GET", "/auth/me").status == 200
    application.people.add("boss", "admin")
    application.people.disable("anna")
    application.ingress.verifier.forget()
    assert browser.ask("GET", "/auth/me").status == 401


def test_a_session_ends_when_its_cookie_is_not_used(application: Any, browser: Browser) -> None:
    verifier = application.ingress.verifier
    now = verifier._clock
    for days, status in ((6, 200), (12, 200), (18, 200), (26, 401)):  # each use begins another week
        verifier._clock = lambda days=days: now() + days * 86_400
        verifier.forget()
        assert browser.ask("GET", "/auth/me").status == status, days


def test_no_other_site_may_ask_unless_it_is_named(make_application: Callable[..., Any]) -> None:
    preflight = [(b"origin", SITE), (b"access-control-request-method", b"POST")]
    closed = make_application()
    answers = [
        closed.ask("OPTIONS", "/ai/score", None, headers=preflight),
        closed.ask("GET", "/auth/me", headers=preflight),
    ]
    assert not [name for answer in answers for name in answer.headers if name.startswith(b"access-control")]
    opened = make_application(cors_origins="https://other.example.org, https://page.example.org")
    answer = opened.ask("OPTIONS", "/ai/score", None, headers=preflight)
    assert (answer.status, answer.headers[b"access-control-allow-origin"]) == (200, SITE)
    told = opened.ask("GET", "/auth/me", headers=[(b"origin", SITE)]).headers
    assert told[b"access-control-allow-origin"] == SITE
    assert b"access-control-allow-credentials" not in told
    stranger = opened.ask("GET", "/auth/me", headers=[(b"origin", b"https://evil.example")]).headers
    assert b"access-control-allow-origin" not in stranger


@pytest.mark.parametrize(
    "value", ["*", "page.example.org", "https://page.example.org/", "https://a b", "null", "https://*.a"]
)
def test_an_origin_that_is_none_is_refused_at_start(value: str) -> None:
    with pytest.raises(ConfigError, match="FORESHOCK_CORS_ORIGINS"):
        load_settings(cors_origins=value)
