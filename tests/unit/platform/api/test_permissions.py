"""Every endpoint, asked by everybody: nobody gets past what they may do."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from itertools import product
from typing import Any

import jwt
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi.routing import APIRoute

from foreshock.api.authorization import OPEN_PATHS, OWN, declared
from foreshock.identity.model import RoleGrant, everything, granted
from foreshock.identity.people import People
from foreshock.identity.permissions import ROLES
from foreshock.identity.tokens import Tokens
from foreshock.store import team_tables as t

TENANTS = ("default", "acme")
JOBS = ("*", "web-*")
PERSON_ONLY = {"/auth/logout", "/auth/password", "/auth/second-factor"}


def endpoints(app: Any) -> list[tuple[str, str, str | None]]:
    """Method, path and declared permission of every endpoint."""
    return [
        (method, route.path, declared(route))
        for route in app.routes
        if isinstance(route, APIRoute)
        for method in sorted(route.methods or ())
    ]


def concrete(path: str) -> str:
    """A path with values in it; of jobs, one that those who may reach some jobs may reach."""
    values = {"{job}": "web-x"}
    return "/".join(values.get(part, "x") if part.startswith("{") else part for part in path.split("/"))


def forged(token: str) -> dict[str, str]:
    header = {name: value for name, value in jwt.get_unverified_header(token).items() if name != "alg"}
    claims = jwt.decode(token, options={"verify_signature": False})
    unsigned = [json.dumps({**header, "alg": "none"}), json.dumps(claims)]
    parts = [base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in unsigned]
    return {
        "wrong key": jwt.encode(claims, Ed25519PrivateKey.generate(), "EdDSA", headers=header),
        "alg none": ".".join([*parts, ""]),
        "HMAC": jwt.encode(claims, "x" * 40, "HS256", headers=header),
        "expired": "",  # made by the clock
    }


class Asker:
    """Somebody with a role in a tenant, as a person and as a program, in every state of their tokens."""

    def __init__(self, application: Any, tenant: str, role: str, jobs: str) -> None:
        self.tenant, self.role, self.jobs = tenant, role, jobs
        store, name = application.store, f"{tenant}-{role}-{jobs.strip('-*') or 'all'}"
        people, tokens = People(store, tenant), Tokens(store, tenant)
        person, password = people.add(name, role, jobs)
        with store.begin() as c:
            c.execute(sa.update(t.people).where(t.people.c.id == person.id).values(must_change=False))
        self.valid = application.sessions.login(name, password).access_token
        self.logged_out = application.sessions.login(name, password)
        application.sessions.logout(self.logged_out.session)
        admin = everything("local", "root", tenant)
        self.program = tokens.make(name, [role], by=admin, jobs=jobs)[1]
        revoked, self.revoked = tokens.make(name, [role], by=admin, jobs=jobs)
        tokens.revoke(revoked.id)
        expired, self.ended = tokens.make(name, [role], by=admin, jobs=jobs)
        with store.begin() as c:
            c.execute(sa.update(t.api_tokens).where(t.api_tokens.c.id == expired.id).values(expires_ms=1))
        other = "default" if tenant == "acme" else "acme"
        with store.begin() as c:  # rightly signed, and for another tenant than its session is of
            claims = jwt.decode(self.valid, options={"verify_signature": False})
            self.moved = application.ingress.identity.access.sign(c, claims["sub"], other, claims["sid"])
        access = application.ingress.identity.access
        now, access._clock = access._clock, lambda: now() - 3600
        with store.begin() as c:
            self.expired = access.sign(c, claims["sub"], tenant, claims["sid"])
        access._clock = now

    def refused(self) -> dict[str, str | None]:
        """Tokens of theirs that are good for nothing."""
        return {
            **forged(self.valid),
            "expired": self.expired, "missing": None, "another tenant": self.moved,
            "logged out": self.logged_out.access_token, "revoked": self.revoked, "ended": self.ended,
            "changed": self.program[:-1] + ("A" if self.program[-1] != "A" else "B"),
            "a refresh token": self.logged_out.refresh_token,
        }  # fmt: skip

    def may(self, permission: str) -> bool:
        return permission in granted([RoleGrant(self.role, self.jobs)], self.tenant)[0].permissions


@pytest.fixture
def askers(application: Any) -> list[Asker]:
    return [Asker(application, *each) for each in product(TENANTS, ROLES, JOBS)]


def test_no_endpoint_is_without_a_permission(application: Any) -> None:
    found = endpoints(application.app)
    assert len(found) > 20
    missing = [f"{method} {path}" for method, path, needs in found if needs is None and path not in OPEN_PATHS]
    assert missing == [], "declare it: who: Annotated[Principal, allow('noun:verb')]"


def test_openapi_says_what_each_endpoint_needs(application: Any) -> None:
    paths = application.app.openapi()["paths"]
    for method, path, needs in endpoints(application.app):
        operation = paths[path][method.lower()]
        if path in OPEN_PATHS:
            assert operation["security"] == []
        elif needs != OWN:
            assert operation["security"] == [{"token": [needs]}]
            assert f"`{needs}`" in operation["description"]


def combinations(application: Any, askers: list[Asker]) -> Iterator[tuple[str, str, str, str | None, bool, str]]:
    """Method, path, who asks, with what token, whether it may pass, and the permission."""
    for method, path, needs in endpoints(application.app):
        if path in OPEN_PATHS or path == "/auth/logout":
            continue
        assert needs is not None
        for asker in askers:
            who = f"{asker.role} of {asker.tenant} for {asker.jobs}"
            for state, token in asker.refused().items() if asker.jobs == "*" else ():
                yield method, path, f"{who}: {state}", token, False, ""
            may = needs == OWN or asker.may(needs)
            yield method, path, f"{who}: a person", asker.valid, may, needs
            program = may and path not in PERSON_ONLY
            yield method, path, f"{who}: a program", asker.program, program, needs


def test_of_all_combinations_none_answers_what_it_must_not(application: Any, askers: list[Asker]) -> None:
    asked, wrong = 0, []
    for method, path, who, token, may, needs in combinations(application, askers):
        status = application.ask(method, concrete(path), token).status
        asked += 1
        expected = {False: (403,) if needs else (401,), True: (200, 202, 204, 404, 409, 415, 422)}[may]
        if status not in expected:
            wrong.append(f"{method} {path}: {who}: {status}, not {expected}")
    assert wrong == []
    assert asked >= 5000


def test_what_declares_no_permission_is_for_administrators_alone(application: Any) -> None:
    @application.app.get("/undeclared")
    def undeclared() -> int:
        return 1

    who = [
        ("default", "admin", "*"),
        ("default", "editor", "*"),
        ("default", "admin", "web-*"),
        ("acme", "admin", "*"),
    ]
    for asker in (Asker(application, *each) for each in who):
        whole = asker.role == "admin" and asker.tenant == "default" and asker.jobs == "*"
        assert application.ask("GET", "/undeclared", asker.valid).status == (200 if whole else 403)


def test_somebody_who_is_disabled_or_has_a_first_password_may_do_nothing(application: Any) -> None:
    application.people.add("boss", "admin")
    _, password = application.people.add("anna", "admin")
    token = application.sessions.login("anna", password).access_token
    assert application.ask("GET", "/auth/me", token).json()["must_change_password"] is True
    answer = application.ask("GET", "/ai/models", token)
    assert (answer.status, "POST /auth/password" in answer.json()["detail"]) == (403, True)
    application.people.disable("anna")
    application.ingress.verifier.forget()
    assert application.ask("GET", "/auth/me", token).status == 401
