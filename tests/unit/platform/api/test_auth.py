"""Sign in and administer over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyotp

PASSWORD = "three green tortoises"


def signed_in(application: Any, name: str, role: str = "viewer", jobs: str = "*") -> str:
    """Access token of somebody who has changed their first password."""
    first = application.ask("POST", "/admin/users", body={"name": name, "role": role, "jobs": jobs}).json()[
        "password"
    ]
    login = application.ask("POST", "/auth/login", None, {"name": name, "password": first})
    token = login.json()["access_token"]
    changed = application.ask("POST", "/auth/password", token, {"old": first, "new": PASSWORD})
    assert changed.status == 204, changed.body
    return str(token)


def test_a_person_signs_in_refreshes_and_signs_out(application: Any) -> None:
    token = signed_in(application, "anna", "operator")
    me = application.ask("GET", "/auth/me", token).json()
    assert (me["name"], me["tenant"], me["must_change_password"]) == ("anna", "default", False)
    login = application.ask("POST", "/auth/login", None, {"name": "anna", "password": PASSWORD})
    assert (login.status, login.headers[b"cache-control"]) == (200, b"no-store")
    first = login.json()
    second = application.ask("POST", "/auth/refresh", None, {"refresh_token": first["refresh_token"]}).json()
    assert application.ask("GET", "/auth/me", second["access_token"]).status == 200
    assert application.ask("POST", "/auth/logout", second["access_token"]).status == 204
    assert application.ask("GET", "/auth/me", second["access_token"]).status == 401
    again = application.ask("POST", "/auth/refresh", None, {"refresh_token": second["refresh_token"]})
    assert (again.status, again.headers[b"content-type"]) == (401, b"application/problem+json")


def test_refusals_are_alike_and_a_missing_code_is_told(application: Any) -> None:
    token = signed_in(application, "anna")
    wrong = [
        application.ask("POST", "/auth/login", None, {"name": name, "password": "wrong"}).body
        for name in ("anna", "nobody")
    ]
    assert wrong[0] == wrong[1]
    begun = application.ask("POST", "/auth/second-factor", token, {"password": PASSWORD}).json()
    assert begun["svg"].startswith("<svg")
    code = pyotp.TOTP(begun["secret"]).now()
    codes = application.ask("PUT", "/auth/second-factor", token, {"code": code}).json()["recovery_codes"]
    assert len(codes) == 10
    body = {"name": "anna", "password": PASSWORD}
    answer = application.ask("POST", "/auth/login", None, body)
    assert (answer.status, answer.json()["errors"][0]["message"]) == (401, "code_needed")
    assert application.ask("POST", "/auth/login", None, {**body, "code": codes[0]}).status == 200
    end = application.ask("DELETE", "/auth/second-factor", token, {"password": PASSWORD, "code": codes[1]})
    assert end.status == 204
    assert application.ask("POST", "/auth/login", None, body).status == 200


def test_a_program_has_no_password(application: Any) -> None:
    for path in ("/auth/logout", "/auth/password", "/auth/second-factor"):
        assert application.ask("POST", path, body={"password": "x"}).status == 403


def test_people_are_administered_over_http(application: Any) -> None:
    boss = signed_in(application, "boss", "admin")
    anna = signed_in(application, "anna")
    assert application.ask("GET", "/admin/users", anna).status == 403
    body = {"roles": [{"role": "editor", "jobs": "web-*"}, {"role": "viewer"}]}
    assert application.ask("PUT", "/admin/users/anna/roles", boss, body).json()["roles"] == [
        {"role": "editor", "jobs": "web-*"}, {"role": "viewer", "jobs": "*"},
    ]  # fmt: skip
    grants = application.ask("GET", "/auth/me", anna).json()["grants"]
    assert {grant["jobs"] for grant in grants} == {"*", "web-*"}
    assert application.ask("POST", "/admin/users/anna/disable", boss).json()["disabled_ms"]
    assert application.ask("GET", "/auth/me", anna).status == 401
    refused = application.ask("POST", "/admin/users/boss/disable", boss)
    assert (refused.status, "administer" in refused.json()["detail"]) == (409, True)
    assert application.ask("POST", "/admin/users/nobody/disable", boss).status == 404
    acts = application.ask("GET", "/admin/audit?act=users", boss).json()["entries"]
    assert [(entry["who"], entry["act"], entry["subject"]) for entry in acts[:2]] == [
        ("boss", "users:disable", "anna"), ("boss", "users:grant", "anna"),
    ]  # fmt: skip
    assert acts[0]["address"] == "10.1.2.3"


def test_an_editor_makes_no_token_and_an_administrator_of_some_jobs_none_of_others(application: Any) -> None:
    editor = signed_in(application, "ed", "editor")
    body = {"name": "ci", "scopes": ["scores:create"]}
    assert application.ask("POST", "/admin/tokens", editor, body).status == 403
    made = application.ask("POST", "/admin/tokens", body=body).json()
    assert made["token"].startswith("fsk_")
    me = application.ask("GET", "/auth/me", made["token"]).json()
    assert me["grants"] == [{"permissions": ["scores:create"], "jobs": "*"}]
    assert application.ask("GET", "/ai/jobs", made["token"]).status == 403
    assert application.ask("DELETE", f"/admin/tokens/{made['id']}").status == 200
    assert application.ask("GET", "/auth/me", made["token"]).status == 401
    assert application.ask("DELETE", f"/admin/tokens/{made['id']}").status == 409


def test_the_status_names_no_more_than_is_asked_for(application: Any) -> None:
    status = application.ask("GET", "/system/status").json()
    assert status == {"version": status["version"], "ready": "no model is served yet", "store": "ok", "models": {}}


def test_no_secret_is_in_the_audit_log(application: Any) -> None:
    token = signed_in(application, "anna", "admin")
    made = application.ask("POST", "/admin/tokens", token, {"name": "ci", "scopes": ["viewer"]}).json()
    entries = application.ask("GET", "/admin/audit?limit=500", token).body.decode()
    for secret in (PASSWORD, token, made["token"]):
        assert secret not in entries


def test_a_refusal_is_in_the_audit_log_once_a_minute(application: Any) -> None:
    token = signed_in(application, "anna")
    for path in ("/admin/users", "/admin/users", "/admin/tokens"):
        assert application.ask("GET", path, token).status == 403
    assert application.ask("POST", "/ai/train", token).status == 403
    entries = application.ask("GET", "/admin/audit?act=auth:refuse").json()["entries"]
    assert [(e["who"], e["subject"], e["outcome"]) for e in reversed(entries)] == [
        ("anna", "GET /admin/users", "refused"), ("anna", "GET /admin/tokens", "refused"),
        ("anna", "POST /ai/train", "refused"),
    ]  # fmt: skip


def test_a_refused_score_is_in_the_audit_log_too(application: Any) -> None:
    made = application.ask("POST", "/admin/tokens", body={"name": "ci", "scopes": ["alerts:read"]}).json()
    assert application.ask("POST", "/ai/score", made["token"], {}).status == 403
    (entry,) = application.ask("GET", "/admin/audit?act=auth:refuse").json()["entries"]
    assert (entry["who"], entry["kind"], entry["subject"]) == ("ci", "token", "POST /ai/score")


def test_who_may_see_some_jobs_sees_no_silence_of_others(application: Any) -> None:
    anna = signed_in(application, "anna", "operator", "web-*")
    made = {}
    for job in ("web-1", "db-1"):
        body = {"matchers": [f"job={job}"], "owner": "root", "reason": "upgrade", "duration": "1h"}
        made[job] = application.ask("POST", "/ai/silences", body=body).json()["id"]
    assert [one["id"] for one in application.ask("GET", "/ai/silences", anna).json()] == [made["web-1"]]
    assert application.ask("GET", f"/ai/silences/{made['web-1']}", anna).status == 200
    assert application.ask("GET", f"/ai/silences/{made['db-1']}", anna).status == 404
    assert application.ask("DELETE", f"/ai/silences/{made['db-1']}", anna).status == 404
    assert application.ask("DELETE", f"/ai/silences/{made['web-1']}", anna).status == 200
    assert len(application.ask("GET", "/ai/silences").json()) == 1


def test_with_the_profile_sox_who_saw_what_is_in_the_audit_log_once_a_minute(
    make_application: Callable[..., Any],
) -> None:
    application = make_application(audit="sox")
    token = signed_in(application, "anna")
    for path in ("/auth/me", "/auth/me", "/incidents", "/incidents/none-of-this-id"):
        application.ask("GET", path, token)
    entries = application.ask("GET", "/admin/audit?act=requests:read").json()["entries"]
    assert [(e["who"], e["subject"]) for e in reversed(entries)] == [
        ("anna", "GET /auth/me"), ("anna", "GET /incidents"),
    ]  # fmt: skip


def test_without_a_profile_reads_are_not_in_the_audit_log(application: Any) -> None:
    application.ask("GET", "/incidents")
    assert application.ask("GET", "/admin/audit?act=requests:read").json()["entries"] == []
