"""Incidents over HTTP: the routes on a real store, without Ray around them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.responses import Response
from tests.servers.principals import asked_by

from foreshock.api.errors import Problem, problem_of, problem_response
from foreshock.api.routers.incidents import add_incidents
from foreshock.api.routes import _json
from foreshock_models.errors import ForeshockError

Ask = Callable[..., httpx.Response]


@pytest.fixture
def ask(house: Any) -> Ask:
    app = FastAPI()
    here = SimpleNamespace(store=house.store, url="http://foreshock", max_body=10_000)
    add_incidents(app, lambda: here, _json)

    async def problem(request: Request, exc: Exception) -> Response:
        return problem_response(request, problem_of(exc))

    for kind in (Problem, ForeshockError):
        app.add_exception_handler(kind, problem)

    def do(method: str, path: str, **more: Any) -> httpx.Response:
        async def go() -> httpx.Response:
            transport = httpx.ASGITransport(asked_by(app))
            async with httpx.AsyncClient(transport=transport, base_url="http://foreshock") as client:
                return await client.request(method, path, **more)

        return asyncio.run(go())

    return do


def test_an_incident_is_handled_over_http_from_its_opening_to_its_post_mortem(house: Any, ask: Ask) -> None:
    for minute, name in enumerate(["db", "api", "web"]):
        house.alert(name, minute)
    house.gather()
    listed = ask("GET", "/incidents?state=live").json()["incidents"]
    assert [i["root_causes"][0]["node"] for i in listed] == ["db"]
    path = f"/incidents/{listed[0]['id']}"
    assert ask("POST", f"{path}/ack", json={"who": "anna", "why": "on it"}).json()["state"] == "acknowledged"
    assert ask("POST", f"{path}/comment", json={"who": "anna", "text": "disk is full"}).status_code == 200
    assert ask("POST", f"{path}/assign", json={"who": "anna", "to": None}).json()["assignee"] is None
    assert ask("POST", f"{path}/class", json={"who": "anna", "kind": "capacity"}).json()["class"] == "capacity"
    new = ask("POST", f"{path}/split", json={"who": "anna", "alerts": ["web"]}).json()
    assert [m["id"] for m in new["members"]] == ["web"]
    kept = ask("POST", f"/incidents/{new['id']}/merge", json={"who": "anna", "into": listed[0]["id"]}).json()
    assert kept["alerts"] == 3
    assert ask("POST", f"{path}/resolve", json={"who": "anna"}).json()["state"] == "resolved"
    assert ask("POST", f"{path}/resolve", json={"who": "anna"}).status_code == 409
    assert ask("POST", f"{path}/reopen", json={"who": "anna"}).json()["state"] == "open"
    assert ask("POST", f"{path}/rename", json={"who": "anna", "title": "disk"}).json()["title"] == "disk"
    document = ask("GET", f"{path}/postmortem")
    assert document.headers["content-type"].startswith("text/markdown")
    assert "# Post-mortem: disk" in document.text and "disk is full" in document.text


def test_an_incident_is_opened_by_hand(ask: Ask) -> None:
    made = ask("POST", "/incidents", json={"who": "anna", "title": "a customer calls", "severity": "critical"})
    assert (made.status_code, made.json()["severity"]) == (201, "critical")
    assert [e["data"]["event"] for e in made.json()["timeline"]] == ["opened", "paged"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/incidents/none", None, 404),
        ("POST", "/incidents/none/ack", {"who": "anna"}, 404),
        ("POST", "/incidents/none/ack", {}, 422),
        ("POST", "/incidents", {"who": "anna", "title": ""}, 422),
        ("POST", "/incidents", {"who": "anna", "title": "x", "alerts": ["none"]}, 409),
        ("POST", "/incidents/none/merge", {"who": "anna", "into": "other"}, 404),
        ("POST", "/incidents/none/split", {"who": "anna", "alerts": []}, 422),
        ("GET", "/incidents/none/postmortem", None, 404),
    ],
)
def test_what_cannot_be_done_is_a_problem(ask: Ask, method: str, path: str, body: Any, status: int) -> None:
    answer = ask(method, path, **({} if body is None else {"json": body}))
    assert answer.status_code == status, answer.text
