"""``/admin/config`` over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from foreshock.configuration import service


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "SETTLE", 0.3)


def put(application: Any, values: dict[str, Any], match: str | None = "*", query: str = "", **more: Any) -> Any:
    headers = [] if match is None else [(b"if-match", match.encode())]
    return application.ask("PUT", f"/admin/config{query}", body={"values": values, **more}, headers=headers)


def test_a_change_is_in_force_in_the_process_at_once_and_each_value_has_a_source(application: Any) -> None:
    first = application.ask("GET", "/admin/config")
    assert (first.status, first.headers[b"etag"], first.json()["version"]) == (200, b'"0"', 0)
    answer = put(application, {"max_body": 4096}, '"0"', note="smaller")
    assert (answer.status, answer.headers[b"etag"]) == (200, b'"1"'), answer.body
    settings = answer.json()["settings"]
    assert (settings["max_body"]["value"], settings["max_body"]["source"]) == (4096, "store")
    assert settings["limit_person"]["source"] == "environment" and settings["keep_runs"]["source"] == "default"
    assert application.ingress.max_body == 4096
    assert put(application, {"max_body": 4096}, note="x" * 1990).status == 200
    big = application.ask("POST", "/ai/score", body={"job": "x" * 5000})
    assert big.status == 413


def test_a_change_needs_the_version_that_it_was_made_from(application: Any) -> None:
    assert put(application, {}, None).status == 428
    assert put(application, {}, "yesterday").status == 400
    assert put(application, {"keep_runs": "1d"}, '"0"').status == 200
    stale = put(application, {"keep_runs": "2d"}, '"0"')
    assert stale.status == 412 and "version 1 is in force" in stale.json()["detail"]
    assert put(application, {"keep_runs": "2d"}, 'W/"1"').status == 200


def test_wrong_settings_are_one_error_each(application: Any) -> None:
    answer = put(application, {"log_level": "LOUD", "keep_runs": "x"})
    assert answer.status == 422 and {e["at"] for e in answer.json()["errors"]} == {"log_level", "keep_runs"}
    assert put(application, {"limit_person": "1 per day"}).status == 422  # the environment has it
    assert put(application, {"port": 1}).status == 422
    for body in ({"values": {"log_level": {"a": 1}}}, {"values": 3}, {}, {"values": {}, "more": 1}):
        assert application.ask("PUT", "/admin/config", body=body, headers=[(b"if-match", b"*")]).status == 422
    assert application.ask("GET", "/admin/config").json()["version"] == 0


def test_a_check_says_what_would_change_and_changes_nothing(application: Any) -> None:
    answer = put(application, {"log_level": "ERROR"}, None, "?check=true")
    assert answer.json() == {"version": 0, "changes": {"log_level": {"before": "INFO", "after": "ERROR"}}}
    assert put(application, {"log_level": "LOUD"}, None, "?check=true").status == 422
    assert application.ask("GET", "/admin/config/versions").json() == {"versions": [], "next": None}


def test_versions_are_listed_compared_and_returned_to(application: Any) -> None:
    for days in ("1d", "2d", "3d"):
        put(application, {"keep_runs": days})
    page = application.ask("GET", "/admin/config/versions?limit=2").json()
    assert ([v["version"] for v in page["versions"]], page["next"]) == ([3, 2], 2)
    rest = application.ask("GET", f"/admin/config/versions?before={page['next']}").json()
    assert ([v["version"] for v in rest["versions"]], rest["next"]) == ([1], None)
    found = application.ask("GET", "/admin/config/diff?from=1&to=3").json()
    assert found["changes"] == {"keep_runs": {"before": "1d", "after": "3d"}}
    one = application.ask("GET", "/admin/config/versions/2").json()
    assert one["changes"] == {"keep_runs": {"before": "1d", "after": "2d"}}
    for path in ("/admin/config/versions/9", "/admin/config/diff?from=1&to=9"):
        assert application.ask("GET", path).status == 404
    back = application.ask("POST", "/admin/config/rollback", body={"version": 1}, headers=[(b"if-match", b'"3"')])
    assert back.json()["values"] == {"keep_runs": "1d"} and back.json()["cause"] == "rollback"
    acts = [entry["act"] for entry in application.ask("GET", "/admin/audit?act=config").json()["entries"]]
    assert acts == ["config:rollback", "config:set", "config:set", "config:set"]


def test_a_version_that_cannot_be_applied_is_told_and_undone(
    application: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(live: Any) -> None:
        if live.max_body == 5000:
            raise MemoryError("no room")

    monkeypatch.setattr(application.ingress.identity.limits, "change", full)
    answer = put(application, {"max_body": 5000})
    assert answer.status == 409 and "api: MemoryError: no room" in answer.json()["detail"]
    now = application.ask("GET", "/admin/config").json()
    assert (now["version"], now["cause"], now["values"]) == (2, "refused", {})
    assert application.ingress.max_body != 5000
