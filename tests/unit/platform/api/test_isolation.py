"""Of another tenant's things, and of jobs that somebody may not see, nothing is told over HTTP."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.routing import APIRoute

from foreshock.alerts.model import Alert
from foreshock.alerts.repository import AlertRepository
from foreshock.api.authorization import OPEN_PATHS
from foreshock.identity.model import everything
from foreshock.identity.tenants import Tenants
from foreshock.identity.tokens import Tokens
from foreshock.store import tables as t
from foreshock.store.scope import Scope, within

MARK = "mark-of"
NOW = 1_772_000_000_000


def fill(application: Any, tenant: str, job: str) -> None:
    mark = f"{MARK}-{tenant}-{job}"
    fields: dict[str, Any] = {
        "id": mark[:32], "job": job, "entity": mark, "labels": {}, "kind": "anomaly", "state": "open",
        "severity": "warning", "opened_ms": NOW, "updated_ms": NOW, "score": 1.4, "peak": 1.6, "summary": mark,
        "causes": [], "announced": False,
    }  # fmt: skip
    with within(Scope(tenant)), application.store.begin() as c:
        AlertRepository(application.store).save(
            c, Alert(**fields), event="opened", at_ms=NOW, who="foreshock", why=mark
        )
        run = {"id": f"run-{tenant}-{job}", "job": job, "kind": "train", "state": "failed", "due_ms": NOW}
        c.execute(sa.insert(t.runs).values(**run, cause=mark, result={}))
        cursor = {"job": job, "entity": mark, "first_ms": NOW, "seen_ms": NOW, "scored_ms": NOW}
        c.execute(sa.insert(t.cursors).values(**cursor))
        silence = {"id": f"sil-{tenant}-{job}", "matchers": [f"job={job}"], "start_ms": 0, "end_ms": NOW + 10**12}
        more = {"timezone": "UTC", "owner": "x", "reason": mark, "created_ms": NOW}
        c.execute(sa.insert(t.silences).values(**silence, **more))


@pytest.fixture
def tokens(application: Any) -> dict[str, str]:
    """Tokens of administrators: of the default tenant, of some jobs of it, and of another tenant."""
    Tenants(application.store).create("acme", "quentin")
    application.ingress.jobs = {
        "web-1": SimpleNamespace(tenant="default"), "db": SimpleNamespace(tenant="default"),
        "acme-web": SimpleNamespace(tenant="acme"),
    }  # fmt: skip
    application.ingress.foreign = frozenset({"acme-web"})
    for tenant, job in (("default", "web-1"), ("default", "db"), ("acme", "acme-web")):
        fill(application, tenant, job)
    made = {}
    for who, tenant, jobs in (("default", "default", "*"), ("web", "default", "web-*"), ("acme", "acme", "*")):
        by = everything("local", "root", tenant)
        made[who] = Tokens(application.store, tenant).make(who, ["admin"], by=by, jobs=jobs)[1]
    return made


SEES = {"default": {"default-web-1", "default-db"}, "web": {"default-web-1"}, "acme": {"acme-acme-web"}}
ALL = {"default-web-1", "default-db", "acme-acme-web"}


def paths(application: Any) -> list[str]:
    found = []
    for route in application.app.routes:
        if isinstance(route, APIRoute) and "GET" in (route.methods or ()) and route.path not in OPEN_PATHS:
            if "{" not in route.path:
                found.append(route.path)
            for one in ALL:
                ids = {"{alert}": f"{MARK}-{one}"[:32], "{run}": f"run-{one}", "{silence}": f"sil-{one}"}
                path = route.path
                for name, value in ids.items():
                    path = path.replace(name, value)
                if "{" in route.path and "{" not in path:
                    found.append(path)
    return found


@pytest.mark.parametrize("who", SEES)
def test_no_answer_tells_of_what_is_not_ones_own(application: Any, tokens: dict[str, str], who: str) -> None:
    asked = paths(application)
    assert len(asked) > 15
    told: set[str] = set()
    for path in asked:
        for query in ("", *(f"?job={job}" for job in ("web-1", "db", "acme-web"))):
            answer = application.ask("GET", path + query, tokens[who])
            assert answer.status in (200, 403, 404, 422), (path, answer.body)
            foreign = [
                one for one in ALL - SEES[who] if f"{MARK}-{one}" in answer.body.decode() and answer.status == 200
            ]
            if "/ai/silences" not in path or who == "acme":
                assert foreign == [], (path + query, answer.body)
            told |= {one for one in SEES[who] if answer.status == 200 and f"{MARK}-{one}" in answer.body.decode()}
    assert told == SEES[who]


@pytest.mark.parametrize(
    ("who", "one"), [("web", "default-db"), ("acme", "default-db"), ("default", "acme-acme-web")]
)
def test_what_is_not_ones_own_cannot_be_changed_and_is_not_found(
    application: Any, tokens: dict[str, str], who: str, one: str
) -> None:
    alert = f"{MARK}-{one}"[:32]
    for method, path, body in (
        ("POST", f"/ai/anomalies/{alert}/ack", {"who": "x"}),
        ("POST", f"/ai/anomalies/{alert}/resolve", {"who": "x"}),
        ("POST", f"/ai/anomalies/{alert}/feedback", {"who": "x", "verdict": "true"}),
        ("DELETE", f"/ai/anomalies/{alert}/feedback?who=x", None), ("GET", f"/ai/runs/run-{one}", None),
    ):  # fmt: skip
        answer = application.ask(method, path, tokens[who], body)
        assert answer.status == 404, (path, answer.body)
    job = "acme-web" if "acme" in one else "db"
    answer = application.ask("POST", "/ai/train", tokens[who], {"job": job})
    assert answer.status in (403, 404)
    answer = application.ask("DELETE", f"/ai/entities?job={job}&entity={MARK}-{one}&who=x", tokens[who])
    assert answer.status in (403, 404)
    with application.store.read() as c:
        states = c.execute(sa.select(t.alerts.c.state)).scalars().all()
    assert states == ["open"] * 3


def test_who_may_silence_some_jobs_silences_no_others(application: Any, tokens: dict[str, str]) -> None:
    def add(*matchers: str) -> int:
        body = {"matchers": list(matchers), "owner": "x", "reason": "test", "duration": "1h"}
        return int(application.ask("POST", "/ai/silences", tokens["web"], body).status)

    assert add("job=web-1", "instance=x") == 201
    for matchers in (["job=db"], ["instance=x"], ["job=~web-.*|db"], ["job!=web-1", "instance=x"], ["job=~web-1"]):
        assert add(*matchers) == 403
    assert application.ask("DELETE", "/ai/silences/sil-default-db?who=x", tokens["web"]).status == 404
    assert application.ask("DELETE", "/ai/silences/sil-default-web-1?who=x", tokens["web"]).status == 200


def test_the_metrics_of_the_whole_installation_are_for_who_may_see_all_of_it(
    application: Any, tokens: dict[str, str]
) -> None:
    found = {who: application.ask("GET", "/metrics", token).status for who, token in tokens.items()}
    assert found == {"default": 200, "web": 403, "acme": 403}


def test_administrators_see_and_change_people_of_their_own_tenant_alone(
    application: Any, tokens: dict[str, str]
) -> None:
    application.people.add("anna", "admin")
    names = {who: application.ask("GET", "/admin/users", tokens[who]).json() for who in ("default", "acme")}
    assert {who: [person["name"] for person in found] for who, found in names.items()} == {
        "default": ["anna"], "acme": ["quentin"],
    }  # fmt: skip
    assert application.ask("POST", "/admin/users/anna/disable", tokens["acme"]).status == 404
    application.ask("POST", "/admin/users", tokens["acme"], {"name": "ben", "role": "viewer"})
    logs = {who: application.ask("GET", "/admin/audit", tokens[who]).body.decode() for who in ("default", "acme")}
    assert '"ben"' in logs["acme"]
    assert '"ben"' not in logs["default"]
    assert '"anna"' not in logs["acme"]
