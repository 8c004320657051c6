"""The button that acknowledges in Slack: requests are signed as Slack signs them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.responses import Response
from tests.servers.principals import asked_by

from foreshock.api.errors import Problem, problem_of, problem_response
from foreshock.api.routers.slack import add_slack
from foreshock.notify.channels.slack import Slack
from foreshock.notify.slack_requests import ACKNOWLEDGE, slack_signature
from foreshock.oncall.ack_links import AckLinks
from foreshock.oncall.config_file import load_notifications
from foreshock.oncall.pipeline import channel_of
from foreshock.store.scope import NOTHING, within
from foreshock_models.errors import ForeshockError

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
CONFIG = """
channels:
  chat: {type: slack, token: xoxb-1, channel: C1, signing_secret: SECRET}
  lines: {type: log}
people: {anna: {channels: [lines], slack: U0ANNA}}
policies: {default: {steps: [{to: ["channel:chat"]}]}}
route: {policy: default}
""".replace("SECRET", SECRET)
Press = Callable[..., httpx.Response]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "notifications.yaml"
    file.write_text(CONFIG)
    return file


@pytest.fixture
def press(house: Any, file: Path) -> Press:
    app = FastAPI()
    here = SimpleNamespace(store=house.store, url="http://f", settings=SimpleNamespace(notifications=file))
    add_slack(app, lambda: here)

    async def problem(request: Request, exc: Exception) -> Response:
        return problem_response(request, problem_of(exc))

    for kind in (Problem, ForeshockError):
        app.add_exception_handler(kind, problem)

    def do(
        value: str,
        *,
        secret: str = SECRET,
        at: float | None = None,
        member: str = "U0BEN",
        tenant: str = "default",
        **headers: str,
    ) -> httpx.Response:
        action = {"action_id": ACKNOWLEDGE, "value": value}
        payload = {"type": "block_actions", "user": {"id": member, "username": "ben"}, "actions": [action]}
        body = urlencode({"payload": json.dumps(payload)}).encode()
        stamp = str(int(time.time() if at is None else at))
        signed = {
            "X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": slack_signature(secret, stamp, body), **headers
        }  # fmt: skip

        async def go() -> httpx.Response:
            transport = httpx.ASGITransport(asked_by(app))
            async with httpx.AsyncClient(transport=transport, base_url="http://f") as client:
                with within(NOTHING):
                    return await client.post(f"/slack/actions?tenant={tenant}", content=body, headers=signed)

        return asyncio.run(go())

    return do


@pytest.fixture
def token(house: Any) -> str:
    house.alert("db")
    house.gather()
    name, now_ms = incident(house).id, round(time.time() * 1000)
    with house.store.begin() as c:
        link = AckLinks(house.store, "http://f").make(c, "default", name, "chat", now_ms)
    return link.partition("token=")[2]


def incident(house: Any) -> Any:
    return house.incidents.list().incidents[0]


def test_the_signature_is_that_of_slacks_own_example() -> None:
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&"
        b"channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&"
        b"response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&"
        b"trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    expected = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    assert slack_signature(SECRET, "1531420618", body) == expected


def test_a_press_acknowledges_in_the_name_of_the_member(house: Any, press: Press, token: str) -> None:
    assert press(token, member="U0ANNA").status_code == 200
    assert (incident(house).state, incident(house).acknowledged_by) == ("acknowledged", "anna")


def test_a_member_whom_the_file_does_not_name_has_the_name_in_slack(house: Any, press: Press, token: str) -> None:
    press(token)
    assert incident(house).acknowledged_by == "ben (Slack)"


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"secret": "another"}, "the signature is of no Slack app"),
        ({"at": 1_700_000_000}, "of another time"), ({"at": 4_000_000_000}, "of another time"),
        ({"X-Slack-Signature": ""}, "the signature is of no Slack app"),
        ({"X-Slack-Request-Timestamp": "now"}, "has no X-Slack-Request-Timestamp"),
        ({"tenant": "acme"}, "the signature is of no Slack app"),
    ],
)  # fmt: skip
def test_a_request_that_is_not_slacks_or_not_of_now_acknowledges_nothing(
    house: Any, press: Press, token: str, wrong: dict[str, Any], why: str
) -> None:
    answer = press(token, **wrong)
    assert answer.status_code == 401 and why in answer.text
    assert incident(house).state == "open"


def test_a_replayed_press_changes_nothing(house: Any, press: Press, token: str) -> None:
    press(token, member="U0ANNA")
    house.people.resolve(incident(house).id, who="anna", now_ms=5)
    house.people.reopen(incident(house).id, who="anna", now_ms=6)
    assert press(token, member="U0ANNA").status_code == 409
    assert incident(house).state == "open"


def test_the_message_of_a_bot_with_a_signing_secret_has_that_button(house: Any, file: Path, token: str) -> None:
    chat = channel_of(load_notifications(file), "chat", house.store)
    assert isinstance(chat, Slack)
    links = {"incident": "http://f/incidents/i1", "ack": f"http://f/ack?token={token}"}
    shown = {"id": "i1", "event": "paged", "incident": incident(house).as_json(), "links": links}
    opens, acknowledges = chat.message(shown)["attachments"][0]["blocks"][1]["elements"]
    assert opens["url"] == links["incident"]
    assert (acknowledges["action_id"], acknowledges["value"]) == (ACKNOWLEDGE, token)
    assert "url" not in acknowledges
