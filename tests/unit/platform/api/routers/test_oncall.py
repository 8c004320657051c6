"""Schedules, notifications and links that acknowledge over HTTP, without Ray around them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI, Request
from starlette.responses import Response
from tests.servers.principals import asked_by

from foreshock.api.errors import Problem, problem_of, problem_response
from foreshock.api.routers.oncall import add_oncall
from foreshock.api.routes import _json
from foreshock.identity.model import everything
from foreshock.oncall.ack_links import AckLinks
from foreshock.store.scope import NOTHING, within
from foreshock.store.tables import outbox
from foreshock_models.errors import ForeshockError

Ask = Callable[..., httpx.Response]
CONFIG = """
channels:
  chat: {type: webhook, url: "http://127.0.0.1:1/hook-0123456789abcdef"}
  lines: {type: log}
people: {anna: {channels: [lines]}}
schedules:
  primary: {rotations: [{people: [anna], start: "2020-01-01T00:00", hours: [{from: "09:00", to: "17:00"}]}]}
policies: {default: {steps: [{to: ["channel:lines"]}]}}
route: {policy: default}
"""


@pytest.fixture
def ask(house: Any, tmp_path: Path) -> Ask:
    app = FastAPI()
    file = tmp_path / "notifications.yaml"
    file.write_text(CONFIG)
    settings = SimpleNamespace(notifications=file)
    here = SimpleNamespace(store=house.store, url="http://foreshock", max_body=10_000, settings=settings)
    add_oncall(app, lambda: here, _json)

    async def problem(request: Request, exc: Exception) -> Response:
        return problem_response(request, problem_of(exc))

    for kind in (Problem, ForeshockError):
        app.add_exception_handler(kind, problem)

    def do(method: str, path: str, **more: Any) -> httpx.Response:
        async def go() -> httpx.Response:
            transport = httpx.ASGITransport(asked_by(app))
            async with httpx.AsyncClient(transport=transport, base_url="http://foreshock") as client:
                with within(NOTHING):  # as the whole application has it
                    return await client.request(method, path, **more)

        return asyncio.run(go())

    return do


def test_schedules_say_who_is_on_call_and_where_nobody_is(ask: Ask) -> None:
    (found,) = ask("GET", "/oncall").json()
    assert found["schedule"] == "primary" and len(found["gaps"]) in (14, 15)
    shifts = ask("GET", "/oncall/primary?days=2").json()
    assert {shift["person"] for shift in shifts} == {"anna", None}
    calendar = ask("GET", "/oncall/primary/calendar")
    assert calendar.headers["content-type"].startswith("text/calendar")
    assert "BEGIN:VCALENDAR" in calendar.text and "SUMMARY:anna" in calendar.text
    assert ask("GET", "/oncall/primry").status_code == 404
    assert "did you mean 'primary'" in ask("GET", "/oncall/primry").text


def test_a_channel_is_tested_and_what_is_wrong_is_told_without_its_secret(ask: Ask) -> None:
    assert ask("POST", "/notifications/test", json={"channel": "lines"}).json()["problem"] is None
    refused = ask("POST", "/notifications/test", json={"channel": "chat"}).json()["problem"]
    assert "refused" in refused.lower() and "0123456789abcdef" not in refused
    assert ask("POST", "/notifications/test", json={"channel": "chta"}).status_code == 422


def test_a_message_is_previewed_for_a_past_incident(house: Any, ask: Ask) -> None:
    house.alert("db")
    house.gather()
    name = house.incidents.list().incidents[0].id
    done = ask("POST", "/notifications/preview", json={"channel": "lines", "incident": name, "event": "resolved"})
    assert done.json()["title"] == "[warning] Resolved: db is anomalous"
    assert ask("POST", "/notifications/preview", json={"channel": "lines", "incident": "none"}).status_code == 404


def test_a_message_of_ones_own_waits_in_the_outbox(house: Any, ask: Ask) -> None:
    sent = ask("POST", "/notifications", json={"title": "maintenance at ten", "recipients": ["anna"]})
    assert sent.status_code == 202
    with house.store.begin() as c:
        (row,) = c.execute(sa.select(outbox.c.notifier, outbox.c.payload)).all()
    assert row[0] == "channel/lines" and row[1]["title"] == "maintenance at ten"
    assert ask("POST", "/notifications", json={"title": "x"}).status_code == 422


def test_a_link_shows_a_page_whose_button_acknowledges_once(house: Any, ask: Ask) -> None:
    house.alert("db", summary="<script>alert(1)</script>")
    house.gather()
    incident = house.incidents.list().incidents[0]
    with house.store.begin() as c:
        token = AckLinks(house.store, "").make(c, "default", incident.id, "anna", 10**15).partition("token=")[2]
    for _ in range(3):  # programs that preview links
        page = ask("GET", f"/ack?token={token}")
        assert page.status_code == 200 and "<script>alert" not in page.text
        assert "form-action 'self'" in page.headers["content-security-policy"]
    assert house.incidents.get(incident.id).state == "open"
    assert "Acknowledged" in ask("POST", "/ack", data={"token": token}).text
    assert house.incidents.get(incident.id).acknowledged_by == "anna"
    assert ask("POST", "/ack", data={"token": token}).status_code == 410
    assert ask("GET", f"/ack?token={token}").status_code == 410
    assert ask("GET", "/ack?token=guess").headers["content-type"] == "application/problem+json"
    page = ask("GET", "/ack?token=guess", headers={"Accept": "text/html"})
    assert page.status_code == 410 and "Not acknowledged" in page.text


def test_people_of_a_tenant_see_and_use_the_schedules_and_channels_of_their_own_alone(
    house: Any, tmp_path: Path
) -> None:
    app = FastAPI()
    settings = SimpleNamespace(notifications=tmp_path / "all.yaml")
    settings.notifications.write_text(CONFIG)
    here = SimpleNamespace(store=house.store, url="http://foreshock", max_body=10_000, settings=settings)
    add_oncall(app, lambda: here, _json)

    someone = replace(everything("anna", "password"), tenant="acme")

    async def asked(method: str, path: str, **more: Any) -> httpx.Response:
        transport = httpx.ASGITransport(asked_by(app, someone), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://foreshock") as client:
            return await client.request(method, path, **more)

    assert asyncio.run(asked("GET", "/oncall")).json() == []
    assert asyncio.run(asked("GET", "/oncall/primary")).status_code != 200
    sent = asyncio.run(asked("POST", "/notifications", json={"title": "x", "recipients": ["anna"]}))
    assert sent.status_code != 202
