"""``/admin`` and ``/system``: people, tokens, the audit log and the state of an installation, over HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import timedelta
from importlib.metadata import version
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Path, Query, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, PlainTextResponse, Response

from foreshock.api.authorization import allow
from foreshock.api.errors import Problem
from foreshock.api.exposition import scrape_type
from foreshock.api.schemas import Body, body_schema
from foreshock.audit.repository import AuditRepository
from foreshock.identity.model import Person, Principal, RoleGrant
from foreshock.identity.people import People
from foreshock.identity.tokens import LONGEST, Tokens
from foreshock_models.errors import AccessError

__all__ = ["add_admin"]

NO_NUL = r"^[^\x00]*$"
Name = Annotated[str, Path(max_length=128, pattern=NO_NUL, description="name of the person")]
Pattern = Annotated[str, Field(max_length=64, description="jobs that it is for: a name, with * for any letters")]
Role = Literal["viewer", "operator", "editor", "admin"]
ReadJson = Callable[..., Awaitable[Any]]
NOT_KEPT = {"Cache-Control": "no-store"}
READS_USERS = Annotated[Principal, allow("users:read")]
WRITES_USERS = Annotated[Principal, allow("users:write")]
READS_TOKENS = Annotated[Principal, allow("tokens:read")]
WRITES_TOKENS = Annotated[Principal, allow("tokens:write")]


class GrantBody(Body):
    """A role, and the jobs that it is for."""

    role: Role
    jobs: Pattern = "*"


class NewPerson(GrantBody):
    """A person to add."""

    name: Annotated[str, Field(min_length=1, max_length=128, examples=["anna"])]


class Roles(Body):
    """All roles of a person."""

    roles: list[GrantBody] = Field(max_length=100)


class Reset(Body):
    """A wish for another password; the second factor may go, too."""

    second_factor: bool = False


class NewToken(Body):
    """A token to make."""

    name: Annotated[str, Field(min_length=1, max_length=128, examples=["ci"])]
    scopes: list[Annotated[str, Field(max_length=64)]] = Field(
        min_length=1,
        max_length=100,
        examples=[["scores:create"]],
        description="permissions, or roles for all of theirs",
    )
    jobs: Pattern = "*"
    days: int = Field(90, ge=1, le=LONGEST.days, description="that it is good for")


def add_admin(app: FastAPI, backend: Callable[[], Any], read_json: ReadJson) -> None:
    """Add the routes; `backend` gives the `Ingress` of this replica, `read_json` a checked body."""
    _people(app, backend, read_json)
    _tokens(app, backend, read_json)
    _audit(app, backend)
    _system(app, backend)


def _people(app: FastAPI, backend: Callable[[], Any], read_json: ReadJson) -> None:
    @app.get("/admin/users", tags=["admin"])
    def users(request: Request, caller: READS_USERS) -> list[dict[str, Any]]:
        """People, with their roles."""
        return [_person(person) for person in People(backend().store, caller.tenant).all()]

    @app.post("/admin/users", tags=["admin"], status_code=201, openapi_extra=body_schema(NewPerson))
    async def add(request: Request, caller: WRITES_USERS) -> Response:
        """Add a person; gives the password for their first login, which is kept nowhere."""
        body: NewPerson = await read_json(request, NewPerson, backend().max_body)
        people = People(backend().store, caller.tenant)
        person, password = await run_in_threadpool(people.add, body.name, body.role, body.jobs)
        return JSONResponse({**_person(person), "password": password}, 201, NOT_KEPT)

    @app.put("/admin/users/{name}/roles", tags=["admin"], openapi_extra=body_schema(Roles))
    async def roles(request: Request, caller: WRITES_USERS, name: Name) -> dict[str, Any]:
        """Give a person these roles and no others; 409 if nobody would administer any more."""
        body: Roles = await read_json(request, Roles, backend().max_body)
        grants = [RoleGrant(one.role, one.jobs) for one in body.roles]
        people = People(backend().store, caller.tenant)
        return _forgotten(backend(), await run_in_threadpool(people.set_roles, name, grants))

    @app.post("/admin/users/{name}/disable", tags=["admin"])
    def disable(request: Request, caller: WRITES_USERS, name: Name) -> dict[str, Any]:
        """Let a person sign in no more, and end their sessions."""
        return _forgotten(backend(), People(backend().store, caller.tenant).disable(name))

    @app.post("/admin/users/{name}/enable", tags=["admin"])
    def enable(request: Request, caller: WRITES_USERS, name: Name) -> dict[str, Any]:
        """Let a person who was disabled sign in again."""
        return _person(People(backend().store, caller.tenant).enable(name))

    @app.post("/admin/users/{name}/reset", tags=["admin"], openapi_extra=body_schema(Reset))
    async def reset(request: Request, caller: WRITES_USERS, name: Name) -> Response:
        """Give a person another password, which is kept nowhere; their sessions end."""
        body: Reset = await read_json(request, Reset, backend().max_body)
        people = People(backend().store, caller.tenant)
        password = await run_in_threadpool(people.reset, name, second_factor=body.second_factor)
        backend().verifier.forget()
        return JSONResponse({"name": name, "password": password}, headers=NOT_KEPT)


def _tokens(app: FastAPI, backend: Callable[[], Any], read_json: ReadJson) -> None:
    @app.get("/admin/tokens", tags=["admin"])
    def tokens(request: Request, caller: READS_TOKENS) -> list[dict[str, Any]]:
        """Tokens of programs, without the tokens themselves."""
        return [asdict(token) for token in Tokens(backend().store, caller.tenant).all()]

    @app.post("/admin/tokens", tags=["admin"], status_code=201, openapi_extra=body_schema(NewToken))
    async def make(request: Request, caller: WRITES_TOKENS) -> Response:
        """Make a token, which is kept nowhere. It may do nothing that its maker may not: 403."""
        body: NewToken = await read_json(request, NewToken, backend().max_body)

        def act() -> dict[str, Any]:
            tokens = Tokens(backend().store, caller.tenant)
            lifetime = timedelta(days=body.days)
            try:
                made, token = tokens.make(body.name, body.scopes, by=caller, jobs=body.jobs, lifetime=lifetime)
            except AccessError as exc:
                raise Problem(403, str(exc)) from exc
            return {**asdict(made), "token": token}

        return JSONResponse(await run_in_threadpool(act), 201, NOT_KEPT)

    @app.delete("/admin/tokens/{token}", tags=["admin"])
    def revoke(
        request: Request,
        caller: WRITES_TOKENS,
        token: Annotated[str, Path(max_length=64, pattern=NO_NUL, description="id of the token")],
    ) -> dict[str, Any]:
        """Let a token be good no more, within seconds; 409 if it is revoked already."""
        revoked = Tokens(backend().store, caller.tenant).revoke(token)
        backend().verifier.forget()
        return asdict(revoked)


def _audit(app: FastAPI, backend: Callable[[], Any]) -> None:
    @app.get("/admin/audit", tags=["admin"])
    def audit(
        request: Request,
        caller: Annotated[Principal, allow("audit:read")],
        act: Annotated[
            str | None, Query(max_length=64, pattern=NO_NUL, description="alerts, or alerts:act")
        ] = None,
        who: Annotated[str | None, Query(max_length=128, pattern=NO_NUL, description="only what they did")] = None,
        before: Annotated[int | None, Query(ge=0, le=2**62, description="`next` of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=500, description="at most so many entries")] = 50,
    ) -> dict[str, Any]:
        """Entries of the audit log, the newest first."""
        store = backend().store
        with store.read() as c:
            log = AuditRepository(store, caller.tenant)
            found = log.find(c, act=act, who=who, before=before, limit=limit + 1)
        entries = [asdict(entry) for entry in found[:limit]]
        return {"entries": entries, "next": entries[-1]["seq"] if len(found) > limit else None}


def _system(app: FastAPI, backend: Callable[[], Any]) -> None:
    @app.get("/system/status", tags=["admin"])
    async def status(request: Request, caller: Annotated[Principal, allow("system:read")]) -> dict[str, Any]:
        """State of the installation: its version, its store, and the models that are served."""
        here = backend()
        jobs = here.jobs_for(caller, "models:read")
        served = [model for model in await here.served() if jobs is None or jobs.admits(model["job"])]
        return {
            "version": version("foreshock"),
            "ready": await here.unready() or "ok",
            "store": "ok" if await here.store_probe.answers() else "away",
            "models": {model["job"]: model["version"] for model in served},
        }

    @app.get("/admin/metrics/prometheus", tags=["admin"], response_class=PlainTextResponse)
    async def metrics(request: Request, caller: Annotated[Principal, allow("metrics:read")]) -> PlainTextResponse:
        """Expose the same as ``/metrics``, for Prometheus."""
        kind, utf8 = scrape_type(request.headers.get("accept", ""))
        return PlainTextResponse(await backend().metrics(utf8), media_type=kind)


def _forgotten(here: Any, person: Person) -> dict[str, Any]:
    here.verifier.forget()
    return _person(person)


def _person(person: Person) -> dict[str, Any]:
    return {
        "name": person.name,
        "roles": [{"role": grant.role, "jobs": grant.jobs} for grant in person.grants],
        "second_factor": person.second_factor,
        "must_change_password": person.must_change,
        "created_ms": person.created_ms,
        "disabled_ms": person.disabled_ms,
    }
