"""The feed of events over a WebSocket, by a real server and a real client."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import uvicorn
from tests.servers.servers import free_port
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from foreshock.api.asgi import Api
from foreshock.api.cookies import SESSION, csrf_token
from foreshock.api.limiting import Limits
from foreshock.api.routers.feed import WEBSOCKET, add_feed
from foreshock.events.repository import EventRepository
from foreshock.identity.access_tokens import AccessTokens
from foreshock.identity.model import everything
from foreshock.identity.people import People
from foreshock.identity.sessions import Sessions, SignedIn
from foreshock.identity.tokens import Tokens, token_digest
from foreshock.identity.verification import Verifier
from foreshock.secrets import open_keyring
from foreshock.settings import load_settings

TOKEN = "t" * 40
Connect = Callable[..., ClientConnection]


def happens(house: Any, *subjects: str, type_: str = "incident") -> None:
    with house.store.begin() as c:
        for subject in subjects:
            EventRepository(house.store).append(c, type_, subject, {"event": "opened", "kind": "anomaly"}, 5)


@pytest.fixture
def limits() -> Limits:
    return Limits(load_settings(limit_failures="1000 per minute"))


@pytest.fixture
def noted() -> list[Any]:
    """Requests that the application told of."""
    return []


@pytest.fixture
def url(house: Any, tmp_path: Path, limits: Limits, noted: list[Any]) -> Iterator[str]:
    verifier = Verifier(token_digest(TOKEN), house.store, AccessTokens(house.store, lambda: open_keyring(tmp_path)))
    here = SimpleNamespace(store=house.store, verifier=verifier)
    app = Api(lambda: verifier, lambda: limits, lambda *request: noted.append(request[1:3]))
    add_feed(app, lambda: here)
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", ws="websockets-sansio"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def socket(url: str) -> Iterator[Connect]:
    with ExitStack() as stack:
        yield lambda path=WEBSOCKET, **more: stack.enter_context(connect(f"ws://{url}{path}", **more))


def received(connection: ClientConnection) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(connection.recv(10))
    return found


def test_a_client_that_says_who_it_is_gets_what_it_missed_and_what_comes(house: Any, socket: Connect) -> None:
    happens(house, "a", "b")
    client = socket()
    client.send(json.dumps({"token": TOKEN, "since": 1}))
    missed = received(client)
    assert (missed["type"], missed["seq"], missed["data"]["id"]) == ("incident", 2, "b")
    assert set(missed) == {"type", "seq", "at", "data"}
    happens(house, "c", type_="alert")
    assert received(client)["type"] == "anomaly"


def test_a_client_may_say_who_it_is_by_sub_protocol(house: Any, socket: Connect) -> None:
    client = socket(subprotocols=["foreshock", f"bearer.{TOKEN}"])
    assert client.subprotocol == "foreshock"
    time.sleep(0.3)
    happens(house, "a")
    assert received(client)["data"]["id"] == "a"


def test_only_the_types_that_are_asked_for_come(house: Any, socket: Connect) -> None:
    happens(house, "a")
    happens(house, "n", type_="notification")
    client = socket()
    client.send(json.dumps({"token": TOKEN, "since": 0, "types": ["notification"]}))
    assert received(client)["data"]["id"] == "n"


@pytest.mark.parametrize(
    "hello",
    ['{"token": "wrong"}', "{}", "no json", json.dumps({"token": TOKEN, "types": ["x"]}), "[1]", "x" * 9000],
)
def test_who_does_not_say_who_it_is_is_closed_with_the_reason(socket: Connect, hello: str) -> None:
    client = socket()
    client.send(hello)
    with pytest.raises(ConnectionClosed) as closed:
        client.recv(10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008 and closed.value.rcvd.reason


def test_a_token_in_the_url_is_no_credential(socket: Connect) -> None:
    client = socket(f"{WEBSOCKET}?token={TOKEN}")
    client.send(json.dumps({"since": 0}))
    with pytest.raises(ConnectionClosed):
        client.recv(10)


def test_server_sent_events_need_a_token_and_resume_by_their_id(house: Any, url: str) -> None:
    happens(house, "a", "b")
    assert httpx.get(f"http://{url}/events/stream").status_code == 401
    headers = {"Authorization": f"Bearer {TOKEN}", "Last-Event-ID": "1"}
    with httpx.stream("GET", f"http://{url}/events/stream", headers=headers, timeout=10) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = (line for line in answer.iter_lines() if line)
        assert next(lines) == "retry: 2000"
        assert next(lines) == "id: 2"
        assert json.loads(next(lines).removeprefix("data: "))["data"]["id"] == "b"


def signed_in(house: Any, folder: Path, *, cookie: bool = True) -> SignedIn:
    """Somebody who may see everything, signed in."""
    access = AccessTokens(house.store, lambda: open_keyring(folder))
    person, password = People(house.store).add("anna", "viewer")
    with house.store.begin() as c:
        sessions = Sessions(house.store, access, lambda: open_keyring(folder))
        sessions._kept.change_person(c, person.id, must_change=False)
    return sessions.login("anna", password, cookie=cookie)


def closed_within(client: ClientConnection, seconds: float) -> int:
    """Code by which the server closes a connection."""
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            client.recv(seconds)
    assert closed.value.rcvd is not None
    return int(closed.value.rcvd.code)


def test_a_socket_whose_token_is_revoked_is_closed_within_five_seconds(house: Any, socket: Connect) -> None:
    tokens = Tokens(house.store)
    token, text = tokens.make("page", ["viewer"], by=everything("local", "root"))
    client, other = socket(), socket()
    client.send(json.dumps({"token": text}))
    other.send(json.dumps({"token": TOKEN}))
    time.sleep(0.3)
    tokens.revoke(token.id)
    began = time.monotonic()
    assert closed_within(client, 5) == 1008
    assert time.monotonic() - began < 5
    happens(house, "a")
    assert received(other)["data"]["id"] == "a"


def test_a_socket_of_somebody_who_is_disabled_or_loses_the_right_is_closed(
    house: Any, socket: Connect, tmp_path: Path
) -> None:
    text = signed_in(house, tmp_path, cookie=False).access_token
    client = socket()
    client.send(json.dumps({"token": text}))
    time.sleep(0.3)
    with house.store.begin() as c:
        from foreshock.identity.repository import IdentityRepository

        IdentityRepository(house.store).set_grants(c, People(house.store).get("anna").id, "default", [])
    assert closed_within(client, 5) == 1008


def test_server_sent_events_end_when_the_token_is_revoked(house: Any, url: str) -> None:
    tokens = Tokens(house.store)
    token, text = tokens.make("page", ["viewer"], by=everything("local", "root"))
    headers = {"Authorization": f"Bearer {text}"}
    with httpx.stream("GET", f"http://{url}/events/stream", headers=headers, timeout=10) as answer:
        lines = (line for line in answer.iter_lines() if line)
        assert next(lines) == "retry: 2000"
        tokens.revoke(token.id)
        began = time.monotonic()
        assert next(lines) == "event: problem"
        assert time.monotonic() - began < 5


def test_a_browser_listens_by_its_cookie_with_the_csrf_token_alone(
    house: Any, socket: Connect, tmp_path: Path
) -> None:
    happens(house, "a")
    cookie = signed_in(house, tmp_path).cookie
    headers = {"Cookie": f"{SESSION}={cookie}"}
    for hello in ({"since": 0}, {"since": 0, "csrf": "x"}, {"since": 0, "csrf": cookie}):
        client = socket(additional_headers=headers)
        client.send(json.dumps(hello))
        assert closed_within(client, 5) == 1008
    client = socket(additional_headers=headers)
    client.send(json.dumps({"since": 0, "csrf": csrf_token(cookie)}))
    assert received(client)["data"]["id"] == "a"


def test_a_wrong_token_counts_as_a_failure_of_its_address(url: str, socket: Connect, limits: Limits) -> None:
    limits.change(load_settings(limit_failures="2 per minute"))
    for _ in range(2):
        client = socket()
        client.send('{"token": "wrong"}')
        assert closed_within(client, 10) == 1008
    assert httpx.get(f"http://{url}/events/stream", headers={"Authorization": "Bearer wrong"}).status_code == 429


def test_who_listens_is_told_to_the_audit_log(socket: Connect, house: Any, noted: list[Any]) -> None:
    happens(house, "a")
    connection = socket()
    connection.send(json.dumps({"token": TOKEN, "since": 0}))
    received(connection)
    assert noted == [("WEBSOCKET", WEBSOCKET)]
