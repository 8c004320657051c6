"""Single sign-on by a provider on loopback, as a browser goes through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from tests.servers.oidc import CLIENT, SECRET, OpenIdProvider, openid_provider

from foreshock.identity.oidc.provider import LEEWAY
from foreshock.identity.tenants import Tenants
from foreshock_models.errors import ConfigError, StateError

LOGIN, CALLBACK, SESSION = "/auth/oidc/login", "/auth/oidc/callback", "__Host-foreshock"


@pytest.fixture(scope="module")
def running() -> Iterator[OpenIdProvider]:
    with openid_provider() as one:
        yield one


@pytest.fixture
def provider(running: OpenIdProvider) -> OpenIdProvider:
    running.claims, running.userinfo = {}, {}
    running.skew, running.deny, running.asked_for_keys, running.sign = 0.0, None, 0, None
    return running


@dataclass
class Browser:
    """Keeps cookies, and follows the way to the provider and back."""

    app: Any
    cookies: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        more = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        if self.cookies:
            more.append((b"cookie", "; ".join(f"{n}={v}" for n, v in self.cookies.items()).encode()))
        answer = self.app.ask(method, path, None, body, more)
        for name, text in answer.cookies.items():
            self.cookies[name] = text.partition("=")[2].partition(";")[0]
            if "Max-Age=0" in text:
                del self.cookies[name]
        return answer

    def leave(self, path: str = LOGIN) -> str:
        """Go to the provider; gives the path that it sends the browser back to."""
        answer = self.ask("GET", path)
        assert answer.status == 303, answer.body
        back = httpx.get(answer.headers[b"location"].decode())
        assert back.status_code == 302, back.text
        parts = urlsplit(back.headers["location"])
        assert parts.path == CALLBACK
        return f"{parts.path}?{parts.query}"

    def sign_in(self, path: str = LOGIN) -> Any:
        return self.ask("GET", self.leave(path))


def written(folder: Path, provider: OpenIdProvider, **more: Any) -> Path:
    import yaml

    file = folder / "oidc.yaml"
    roles = [
        {"group": "sre", "role": "operator", "jobs": "web-*"},
        {"group": "everybody", "role": "viewer"},
        {"group": "acme", "role": "viewer", "tenant": "acme"},
        {"group": "moon", "role": "viewer", "tenant": "moon"},
    ]
    known = {"issuer": provider.url, "client_id": CLIENT, "client_secret_file": "secret", "roles": roles}
    (folder / "secret").write_text(f"{SECRET}\n")
    file.write_text(yaml.safe_dump({**known, **more}))
    return file


@pytest.fixture
def app(make_application: Callable[..., Any], provider: OpenIdProvider, tmp_path: Path) -> Any:
    return make_application(oidc=written(tmp_path, provider))


@pytest.fixture
def browser(app: Any) -> Browser:
    return Browser(app)


def logins(app: Any) -> list[tuple[str, str, str]]:
    entries = app.ask("GET", "/admin/audit?act=auth:login").json()["entries"]
    return [(entry["who"], entry["outcome"], entry["data"].get("why", "")) for entry in entries]


def test_without_configuration_there_is_no_such_endpoint(application: Any) -> None:
    for path in (LOGIN, CALLBACK, f"{CALLBACK}?state=x&code=y"):
        answer = application.ask("GET", path, None)
        assert (answer.status, answer.headers[b"content-type"]) == (404, b"application/problem+json")


def test_a_person_signs_in_and_has_the_roles_of_their_groups(app: Any, browser: Browser) -> None:
    answer = browser.sign_in(f"{LOGIN}?then=/incidents")
    assert (answer.status, answer.headers[b"location"]) == (303, b"/incidents")
    assert answer.headers[b"cache-control"] == b"no-store"
    me = browser.ask("GET", "/auth/me").json()
    assert (me["kind"], me["name"], me["tenant"]) == ("person", "anna", "default")
    assert [grant["jobs"] for grant in me["grants"]] == ["web-*"]
    assert "alerts:act" in me["grants"][0]["permissions"]
    assert logins(app) == [("anna", "done", "")]


def test_the_session_cookie_is_for_this_host_and_no_script(browser: Browser) -> None:
    answer = browser.sign_in()
    flags = {part.strip().lower() for part in answer.cookies[SESSION].split(";")[1:]}
    assert {"path=/", "secure", "httponly", "samesite=strict", "max-age=43200"} == flags
    assert set(browser.cookies) == {SESSION}


def test_who_signs_in_again_is_the_same_person_with_the_groups_of_now(
    app: Any, browser: Browser, provider: OpenIdProvider
) -> None:
    browser.sign_in()
    first = app.people.get("anna")
    provider.claims = {"groups": ["everybody", "sre"], "preferred_username": "anna.b"}
    browser.sign_in()
    me = browser.ask("GET", "/auth/me").json()
    assert (me["name"], {grant["jobs"] for grant in me["grants"]}) == ("anna.b", {"*", "web-*"})
    assert app.people.get("anna.b").id == first.id


def test_groups_may_come_from_userinfo_and_the_tenant_from_the_group(
    app: Any, browser: Browser, provider: OpenIdProvider
) -> None:
    Tenants(app.store).create("acme", "boss")
    provider.claims, provider.userinfo = {"groups": None}, {"groups": ["acme", "sre"]}
    assert browser.sign_in().status == 303
    me = browser.ask("GET", "/auth/me").json()
    assert (me["tenant"], [grant["jobs"] for grant in me["grants"]]) == ("default", ["web-*"])
    provider.userinfo = {"groups": ["acme"]}
    before = dict(browser.cookies)
    assert browser.sign_in().status == 303
    assert browser.ask("GET", "/auth/me").json()["tenant"] == "acme"
    app.ingress.verifier.forget()
    assert Browser(app, before).ask("GET", "/auth/me").status == 401  # of the tenant that they left


def test_userinfo_of_somebody_else_is_refused(browser: Browser, provider: OpenIdProvider) -> None:
    provider.claims, provider.userinfo = {"groups": None}, {"groups": ["sre"], "sub": "another"}
    assert browser.sign_in().status == 401


@pytest.mark.parametrize("groups", [[], ["unknown"], ["SRE"], ["moon"], None, "everybody else"])
def test_somebody_in_no_group_that_has_a_role_is_refused_and_loses_what_they_had(
    app: Any, browser: Browser, provider: OpenIdProvider, groups: Any
) -> None:
    browser.sign_in()
    had = dict(browser.cookies)
    provider.claims = {"groups": groups}
    answer = browser.sign_in()
    assert (answer.status, answer.cookies) == (403, {})
    app.ingress.verifier.forget()
    assert Browser(app, had).ask("GET", "/auth/me").status == 401
    assert app.people.get("anna").grants == ()
    assert logins(app)[0][:2] == ("anna", "refused")


WRONG: dict[str, dict[str, Any]] = {
    "an audience that is not this client": {"aud": "another"},
    "several audiences without azp": {"aud": [CLIENT, "another"]},
    "another authorised party": {"aud": [CLIENT, "another"], "azp": "another"},
    "another nonce": {"nonce": "another"},
    "no nonce": {"nonce": None},
    "another issuer": {"iss": "https://login.example.org"},
    "no subject": {"sub": None},
    "an empty subject": {"sub": ""},
    "no expiry": {"exp": None},
    "a hash of another access token": {"at_hash": "x" * 22},
    "no name": {"preferred_username": None},
    "a name that is none": {"preferred_username": "anna\nadmin"},
    "groups that are none": {"groups": {"sre": True}},
}


@pytest.mark.parametrize("name", WRONG)
def test_an_id_token_that_does_not_hold_is_refused(
    app: Any, browser: Browser, provider: OpenIdProvider, name: str
) -> None:
    provider.claims = WRONG[name]
    answer = browser.sign_in()
    assert (answer.status, SESSION in answer.cookies) == (401, False)
    assert logins(app)[0][:2] == ("unknown", "refused")
    assert [person.name for person in app.people.all()] == []


def test_clocks_may_differ_a_little_and_no_more(browser: Browser, provider: OpenIdProvider) -> None:
    for skew, status in (
        (LEEWAY - 5, 303),
        (-300 - LEEWAY + 5, 303),
        (LEEWAY + 30, 401),
        (-300 - LEEWAY - 30, 401),
    ):
        provider.skew = skew
        assert browser.sign_in().status == status, skew


def test_a_key_that_the_provider_has_changed_is_found_at_once_and_not_asked_for_each_time(
    browser: Browser, provider: OpenIdProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    from foreshock.identity.oidc import provider as ours

    monkeypatch.setattr(ours, "REREAD", 0.2)
    assert browser.sign_in().status == 303
    provider.rotate()
    import time

    time.sleep(0.3)
    assert browser.sign_in().status == 303
    asked = provider.asked_for_keys
    assert browser.sign_in().status == 303
    assert provider.asked_for_keys == asked == 2


def test_a_token_signed_by_nobodys_key_or_none_is_refused(browser: Browser, provider: OpenIdProvider) -> None:
    import jwt as pyjwt
    from joserfc import jwt
    from joserfc.jwk import OctKey, RSAKey

    stranger = RSAKey.generate_key(2048, {"kid": provider.key.kid})
    forged: list[Callable[[dict[str, Any]], str]] = [
        lambda claims: jwt.encode({"alg": "RS256", "kid": provider.key.kid}, claims, stranger),
        lambda claims: jwt.encode({"alg": "HS256", "kid": provider.key.kid}, claims, OctKey.generate_key(256)),
        lambda claims: pyjwt.encode(claims, None, "none", headers={"kid": provider.key.kid}),
        lambda claims: "no.token.atall",
    ]
    for provider.sign in forged:
        assert browser.sign_in().status == 401


def test_a_way_back_is_good_once(app: Any, browser: Browser) -> None:
    begun = dict(browser.cookies)
    back = browser.leave()
    begun = dict(browser.cookies)
    assert browser.ask("GET", back).status == 303
    assert Browser(app, begun).ask("GET", back).status == 401  # with the cookie of before


def test_a_code_is_good_once_and_for_its_own_browser(app: Any, browser: Browser) -> None:
    code = parse_qs(urlsplit(browser.leave()).query)["code"][0]
    other = Browser(app)
    query = parse_qs(urlsplit(other.leave()).query)
    query["code"] = [code]  # of another sign-in: PKCE refuses it
    stolen = "&".join(f"{name}={values[0]}" for name, values in query.items())
    assert other.ask("GET", f"{CALLBACK}?{stolen}").status == 401
    again = parse_qs(urlsplit(browser.leave()).query) | {"code": [code]}  # used up at the provider
    spent = "&".join(f"{name}={values[0]}" for name, values in again.items())
    assert browser.ask("GET", f"{CALLBACK}?{spent}").status == 401


def test_an_answer_without_the_cookie_of_the_browser_that_left_is_refused(app: Any, browser: Browser) -> None:
    back = browser.leave()
    assert Browser(app).ask("GET", back).status == 401
    assert Browser(app, {"__Host-foreshock-sign-in": "x" * 200}).ask("GET", back).status == 401
    other = Browser(app)
    other.leave()
    assert other.ask("GET", back).status == 401
    assert browser.ask("GET", back).status == 303


def test_an_answer_of_another_issuer_or_of_none_is_refused(browser: Browser) -> None:
    for change in (lambda q: q | {"iss": ["https://evil.example"]}, lambda q: {k: q[k] for k in q if k != "iss"}):
        query = change(parse_qs(urlsplit(browser.leave()).query))
        path = "&".join(f"{name}={values[0]}" for name, values in query.items())
        assert browser.ask("GET", f"{CALLBACK}?{path}").status == 401


def test_a_sign_in_that_took_too_long_is_refused(app: Any, browser: Browser) -> None:
    back = browser.leave()
    sign_on = app.ingress.identity.single_sign_on
    now = sign_on._clock
    sign_on._clock = lambda: now() + 601
    assert browser.ask("GET", back).status == 401


def test_a_refusal_of_the_provider_is_told(app: Any, browser: Browser, provider: OpenIdProvider) -> None:
    provider.deny = "access_denied"
    answer = browser.sign_in()
    assert (answer.status, "access_denied" in answer.json()["detail"]) == (401, True)
    assert logins(app)[0][1:] == ("refused", "the provider refused")


@pytest.mark.parametrize("then", ["https://evil.example", "//evil.example", "/\\evil.example", "x", "/a%0d%0aX: 1"])
def test_nobody_is_led_to_another_site_in_the_end(app: Any, then: str) -> None:
    from urllib.parse import unquote

    assert app.ask("GET", f"{LOGIN}?then={then}", None).status == 422, unquote(then)


def test_a_name_that_somebody_else_has_is_not_taken_over(app: Any, browser: Browser) -> None:
    app.people.add("anna", "admin")
    assert browser.sign_in().status == 401
    assert app.people.get("anna").grants[0].role == "admin"


def test_somebody_who_is_disabled_here_does_not_get_in(app: Any, browser: Browser) -> None:
    browser.sign_in()
    app.people.add("boss", "admin")
    app.people.disable("anna")
    assert browser.sign_in().status == 401


def test_who_signs_in_elsewhere_has_no_password_and_no_role_of_their_own_here(app: Any, browser: Browser) -> None:
    browser.sign_in()
    login = app.ask("POST", "/auth/login", None, {"name": "anna", "password": "x"})
    assert login.status == 401
    token = browser.ask("GET", "/auth/me").json()["csrf_token"]
    change = {"old": "x", "new": "three green tortoises"}
    assert browser.ask("POST", "/auth/password", change, X_CSRF_Token=token).status == 409
    with pytest.raises(StateError, match="single sign-on"):
        app.people.reset("anna")
    with pytest.raises(StateError, match="groups"):
        app.people.set_roles("anna", [])


def test_a_provider_that_is_away_is_503_and_tells_nothing_of_this_machine(
    make_application: Callable[..., Any], tmp_path: Path
) -> None:
    file = written(tmp_path, OpenIdProvider("http://127.0.0.1:9"))
    answer = make_application(oidc=file).ask("GET", LOGIN, None)
    assert (answer.status, "127.0.0.1" in answer.body.decode()) == (503, False)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"issuer": "http://login.example.org"}, "must be https://"),
        ({"issuer": "https://login.example.org?x=1"}, "without user, query"),
        ({"roles": []}, "roles"),
        ({"roles": [{"group": "x", "role": "operater"}]}, "operator"),
        ({"roles": [{"group": "x", "role": "viewer", "jobs": "Web"}]}, "pattern of jobs"),
        ({"client_secret": "x"}, "client_secret"),
        ({"session": "31d"}, "30d"),
        ({"groups": "x"}, "groups"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_its_key(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    from foreshock.identity.oidc import load_oidc

    file = written(tmp_path, OpenIdProvider("https://login.example.org"), **change)
    with pytest.raises(ConfigError, match=said) as error:
        load_oidc(file)
    assert str(file) in str(error.value)
