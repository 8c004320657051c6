"""Alerts, silences and entities over HTTP: the routes on a real store, without Ray around them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from tests.servers.principals import asked_by

from foreshock.alerts.model import Alert
from foreshock.alerts.publisher import AlertPublisher, Change
from foreshock.alerts.repository import AlertRepository
from foreshock.api.errors import Problem, problem_of, problem_response
from foreshock.api.routers.alerts import add_alerts
from foreshock.api.routes import _json
from foreshock.notify.outbox import Outbox
from foreshock.scoring.checkpoint import Checkpoint, CheckpointRepository
from foreshock.scoring.cursors import CursorRepository
from foreshock.silences.index import SilenceIndex
from foreshock.store import Store, open_store
from foreshock_models.errors import ForeshockError
from foreshock_models.state import State
from foreshock_pipelines.registry import Registry

NOW = 1_772_000_000_000


@dataclass
class Here:
    store: Store
    models: Registry
    url: str = "http://foreshock"
    max_body: int = 10_000


class Client:
    """Asks an application in this process."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def get(self, url: str, **more: Any) -> httpx.Response:
        return self._ask("GET", url, **more)

    def post(self, url: str, **more: Any) -> httpx.Response:
        return self._ask("POST", url, **more)

    def delete(self, url: str, **more: Any) -> httpx.Response:
        return self._ask("DELETE", url, **more)

    def _ask(self, method: str, url: str, **more: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://foreshock") as client:
                return await client.request(method, url, **more)

        return asyncio.run(ask())


@pytest.fixture
def here(tmp_path: Path, trained: Any) -> Iterator[Here]:
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    yield Here(store, Registry(trained.registry))
    store.close()


@pytest.fixture
def api(here: Here) -> Client:
    app = FastAPI()

    async def problem(request: Request, exc: Exception) -> Any:
        return problem_response(request, problem_of(exc))

    for kind in (Problem, ForeshockError):
        app.add_exception_handler(kind, problem)
    add_alerts(app, lambda: here, _json)
    return Client(asked_by(app))


@pytest.fixture
def alert(here: Here) -> Alert:
    return opened(here, "host-01")


def opened(here: Here, entity: str, **more: Any) -> Alert:
    fields: dict[str, Any] = {
        "id": f"id-{entity}", "job": "small", "entity": entity, "labels": {"instance": entity}, "kind": "anomaly",
        "state": "open", "severity": "warning", "opened_ms": NOW, "updated_ms": NOW, "score": 1.4, "peak": 1.6,
        "summary": "it is anomalous", "causes": [], "announced": False, **more,
    }  # fmt: skip
    made = Alert(**fields)
    with here.store.begin() as c:
        AlertRepository(here.store).save(c, made, event="opened", at_ms=NOW, who="foreshock", why="test")
        AlertPublisher(here.store).publish(c, [Change("opened", made)], SilenceIndex(), NOW)
    return made


def posted(here: Here) -> list[str]:
    return [item.payload["event"] for item in Outbox(here.store).unsent()]


def test_an_alert_is_acknowledged_and_resolved_and_receivers_will_hear_of_it(
    api: Client, here: Here, alert: Alert
) -> None:
    body = api.post(f"/ai/anomalies/{alert.id}/ack", json={"who": "anna", "why": "on it"}).json()
    assert (body["state"], body["acknowledged_by"]) == ("acknowledged", "anna")
    body = api.post(f"/ai/anomalies/{alert.id}/resolve", json={"who": "ben"}).json()
    assert (body["state"], body["resolved_by"]) == ("resolved", "ben")
    assert [line["event"] for line in body["history"]] == ["opened", "acknowledged", "resolved"]
    assert posted(here) == ["opened", "acknowledged", "resolved"]


def test_what_is_resolved_cannot_be_acknowledged(api: Client, alert: Alert) -> None:
    api.post(f"/ai/anomalies/{alert.id}/resolve", json={"who": "ben"})
    response = api.post(f"/ai/anomalies/{alert.id}/ack", json={"who": "anna"})
    assert response.status_code == 409
    assert response.json()["detail"] == "the alert id-host-01 is resolved already, by ben"


def test_an_alert_that_is_not_there_is_404(api: Client) -> None:
    assert api.post("/ai/anomalies/nope/ack", json={"who": "anna"}).status_code == 404


def test_who_acts_must_be_said(api: Client, alert: Alert) -> None:
    response = api.post(f"/ai/anomalies/{alert.id}/ack", json={})
    assert (response.status_code, response.json()["errors"][0]["at"]) == (422, "who")


def test_alerts_are_filtered_and_paged(api: Client, here: Here) -> None:
    for n in range(5):
        opened(here, f"host-{n}", severity="critical" if n % 2 else "warning", updated_ms=NOW + n * 1000)
    assert len(api.get("/ai/anomalies", params={"severity": "critical"}).json()["anomalies"]) == 2
    late = api.get("/ai/anomalies", params={"since": (NOW + 3000) / 1000}).json()["anomalies"]
    assert {a["entity"] for a in late} == {"host-3", "host-4"}
    seen: list[str] = []
    params: dict[str, Any] = {"limit": 2}
    while params.get("before", 1) is not None:
        page = api.get("/ai/anomalies", params=params).json()
        seen += [a["entity"] for a in page["anomalies"]]
        params["before"] = page["next"]
    assert seen == [f"host-{n}" for n in (4, 3, 2, 1, 0)]


def test_a_false_alarm_raises_the_line_and_can_be_undone(api: Client, here: Here, alert: Alert) -> None:
    detector, model = here.models.load("small")
    state = Checkpoint(model.version, NOW, detector.state_.to_bytes(), State().to_bytes())
    with here.store.begin() as c:
        CheckpointRepository(here.store).save(c, "small", state)
    body = api.post(f"/ai/anomalies/{alert.id}/feedback", json={"who": "anna", "verdict": "false"}).json()
    assert body["means"] == "the line of its entity is raised"
    assert (body["state"], body["feedback"][0]["verdict"]) == ("resolved", "false")
    after = CheckpointRepository(here.store).get("small")
    assert after is not None
    assert (after.revision, after.model_state == state.model_state) == (1, False)
    response = api.post(f"/ai/anomalies/{alert.id}/feedback", json={"who": "anna", "verdict": "true"})
    assert response.status_code == 409
    body = api.delete(f"/ai/anomalies/{alert.id}/feedback", params={"who": "ben"}).json()
    assert body["feedback"][0]["undone"] is not None


def test_an_exclusion_needs_its_rows(api: Client, alert: Alert) -> None:
    url = f"/ai/anomalies/{alert.id}/feedback"
    assert api.post(url, json={"who": "anna", "verdict": "exclude"}).status_code == 422
    half = {"who": "anna", "verdict": "exclude", "start": "2026-03-01T14:00:00Z", "end": None}
    assert api.post(url, json=half).status_code == 422
    body = api.post(url, json={**half, "end": "2026-03-01T15:30:00Z"}).json()
    assert body["means"] == "rows from 2026-03-01 14:00 to 2026-03-01 15:30 UTC are not learnt from"


def test_a_silence_is_made_listed_and_ended(api: Client) -> None:
    body = {"matchers": ['instance=~"host-.*"'], "owner": "anna", "reason": "disk swap", "duration": "2h"}
    made = api.post("/ai/silences", json=body)
    assert made.status_code == 201
    (listed,) = api.get("/ai/silences").json()
    assert (listed["id"], listed["state"], listed["exclude"]) == (made.json()["id"], "active", False)
    assert api.delete(f"/ai/silences/{listed['id']}", params={"who": "ben"}).json()["ended_by"] == "ben"
    assert api.get("/ai/silences").json() == []
    assert api.get("/ai/silences", params={"over": True}).json()[0]["state"] == "expired"
    assert api.delete(f"/ai/silences/{listed['id']}", params={"who": "ben"}).status_code == 409


def test_a_silence_declared_afterwards_takes_its_rows_out_of_training(api: Client) -> None:
    body = {"matchers": ["instance=a"], "owner": "anna", "reason": "moved", "start": "-3h", "end": "now"}
    made = api.post("/ai/silences", json=body).json()
    assert (made["exclude"], made["state"]) == (True, "expired")


def test_a_weekly_window_is_local_to_its_time_zone(api: Client) -> None:
    body = {
        "matchers": ["job=small"], "owner": "anna", "reason": "backup", "start": "2036-03-30T02:30",
        "end": "2036-12-31", "duration": "90m", "rule": "FREQ=WEEKLY;BYDAY=SU", "timezone": "Europe/Berlin",
    }  # fmt: skip
    made = api.post("/ai/silences", json=body).json()
    assert (made["start"], made["next"]) == ("2036-03-30T01:30:00Z", "2036-03-30T01:30:00Z")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"duration": None}, "when the silence ends"),
        ({"matchers": ["instance"]}, "not a matcher"),
        ({"matchers": ["instance=~.*"]}, "every alert"),
        ({"timezone": "America"}, "not a known time zone"),
        ({"duration": "9" * 400 + "d"}, ""),
        ({"start": "0001-01-01"}, "between"),
        ({"rule": "FREQ=SECONDLY"}, "FREQ"),
        ({"rule": "FREQ=DAILY;INTERVAL=0"}, "INTERVAL takes a whole number from 1 to 1000"),
        ({"rule": "FREQ=DAILY;BYHOUR=" + "1," * 400}, "at most 500"),
        ({"rule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"}, "no window"),
        ({"rule": "FREQ=DAILY", "duration": "400d"}, "at most 366 days"),
        ({"duration": "9" * 60 + "d"}, "too long"),
        ({"duration": "x"}, "is not a duration"),
        ({"start": "0001-01-01T00:00+14:00"}, "between"),
        ({"end": "9999-12-31T23:59:59-14:00", "duration": None}, "between"),
        ({"matchers": [r'instance=~"(a)\\1"']}, "without backreferences"),
        ({"matchers": ["instance=" + "x" * 1001]}, "at most 1000 characters"),
        ({"matchers": ["instance=a"] * 51}, "at most 50"),
        ({"owner": "x" * 129}, "at most 128"),
        ({"reason": "x" * 2001}, "at most 2000"),
        ({"timezone": "x" * 65}, "at most 64"),
    ],
)
def test_a_silence_that_cannot_be_says_why(api: Client, wrong: dict[str, Any], says: str) -> None:
    body = {"matchers": ["instance=a"], "owner": "anna", "reason": "x", "duration": "1h", "end": None, **wrong}
    if "rule" in wrong:
        body["end"] = "2036-01-01"
    if "end" in wrong:
        body["duration"] = None
    response = api.post("/ai/silences", json=body)
    assert response.status_code == 422, response.text
    assert says in response.json()["detail"]


def test_a_silence_that_matches_nothing_that_is_known_is_made_and_says_so(api: Client, here: Here) -> None:
    body = {"matchers": ["instance=web-1"], "owner": "anna", "reason": "disk swap", "duration": "2h"}
    nothing = api.post("/ai/silences", json=body)
    assert nothing.status_code == 201
    assert nothing.json()["matches"]["note"] == "no entity is known yet: it holds back what matches later"
    with here.store.begin() as c:
        CheckpointRepository(here.store).save(
            c, "small", Checkpoint("v1", NOW, State().to_bytes(), State().to_bytes())
        )
        names = ("host-01", "host-02")
        rows = [{"entity": e, "first_ms": NOW, "seen_ms": NOW, "scored_ms": NOW, "warming": False} for e in names]
        CursorRepository(here.store).save(c, "small", rows)

    def matches(*matchers: str) -> dict[str, Any]:
        made: dict[str, Any] = api.post("/ai/silences", json={**body, "matchers": matchers}).json()["matches"]
        return made

    assert matches("job=small") == {"entities": 2, "known": 2, "alerts": 0, "note": None}
    assert matches("instance=~host-01|x", "severity=warning", "feature=cpu")["entities"] == 1
    for wrong in (["instance=host-3"], ["job=big"], ["instance=host-01", "severity=wrning"]):
        assert "none of the 2 entities known now" in matches(*wrong)["note"]


def test_entities_are_listed_and_forgotten(api: Client, here: Here, alert: Alert) -> None:
    state = State(("host-01",), {"policy": _table()})
    with here.store.begin() as c:
        CheckpointRepository(here.store).save(
            c, "small", Checkpoint("v1", NOW, State().to_bytes(), state.to_bytes())
        )
        row = {"entity": "host-01", "first_ms": NOW, "seen_ms": NOW, "scored_ms": NOW, "warming": True}
        CursorRepository(here.store).save(c, "small", [row])
    (found,) = api.get("/ai/entities").json()
    assert (found["entity"], found["state"], found["warming"]) == ("host-01", "pending", True)
    body = api.delete("/ai/entities", params={"job": "small", "entity": "host-01", "who": "anna"}).json()
    assert body == {"forgotten": "host-01", "resolved": [alert.id]}
    assert api.get("/ai/entities").json() == []


def _table() -> Any:
    """A policy table in which one of the last rows was anomalous."""
    import numpy as np

    from foreshock_models.kernels.layout import ALERT_POLICY, records

    table = np.zeros((1, len(ALERT_POLICY)))
    records(table, ALERT_POLICY)["votes"] = 1
    return table
