"""``/incidents``: what a team handles, and what it does with it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Path, Query, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from foreshock.api.authorization import allow, author
from foreshock.api.routers.alerts import NO_NUL, Act, JobFilter, Who
from foreshock.api.schemas import Body, body_schema
from foreshock.identity.model import Principal
from foreshock.incidents.repository import IncidentRepository
from foreshock.incidents.service import LONGEST_TEXT, LONGEST_TITLE, IncidentService
from foreshock.incidents.view import postmortem_of, whole

__all__ = ["add_incidents"]

IncidentId = Annotated[str, Path(max_length=64, pattern=NO_NUL, description="id of the incident")]
Title = Annotated[str, Field(min_length=1, max_length=LONGEST_TITLE, pattern=NO_NUL)]
Ids = list[Annotated[str, Field(max_length=64, pattern=NO_NUL)]]
ReadJson = Callable[..., Awaitable[Any]]


class NewIncident(Act):
    """An incident that a person opens."""

    title: Title
    severity: Literal["info", "warning", "critical"] = "warning"
    alerts: Ids = Field(default_factory=list, max_length=1000, description="alerts that belong to it")


class Assignment(Act):
    """The person who handles an incident; null: nobody."""

    to: Who | None


class Comment(Body):
    """A comment on an incident."""

    who: Who | None = None
    text: Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT, pattern=NO_NUL)]


class Rename(Body):
    """A new title."""

    who: Who | None = None
    title: Title


class Classification(Body):
    """The class of an incident."""

    who: Who | None = None
    kind: Annotated[str, Field(min_length=1, max_length=64, pattern=NO_NUL, examples=["capacity"])]


class Merge(Act):
    """The incident that another one becomes a part of."""

    into: Annotated[str, Field(max_length=64, pattern=NO_NUL)]


class Split(Act):
    """The alerts that become an incident of their own."""

    alerts: Ids = Field(min_length=1, max_length=1000)


def add_incidents(app: FastAPI, backend: Callable[[], Any], read_json: ReadJson) -> None:
    """Add the routes; `backend` gives the `Ingress` of this replica, `read_json` a checked body."""
    _read(app, backend)
    _create(app, backend, read_json)
    _act(app, backend, read_json)


def _read(app: FastAPI, backend: Callable[[], Any]) -> None:
    @app.get("/incidents", tags=["incidents"])
    def incidents(
        request: Request,
        caller: Annotated[Principal, allow("incidents:read")],
        state: Annotated[
            Literal["open", "acknowledged", "resolved", "merged", "live"] | None,
            Query(description="live: open or acknowledged; default: all"),
        ] = None,
        severity: Annotated[
            Literal["info", "warning", "critical"] | None, Query(description="default: all")
        ] = None,
        job: JobFilter = None,
        assignee: Annotated[str | None, Query(max_length=128, pattern=NO_NUL, description="handled by")] = None,
        before: Annotated[int | None, Query(ge=0, le=2**62, description="`next` of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=500, description="at most so many incidents")] = 50,
    ) -> dict[str, Any]:
        """Incidents, the newest first."""
        here = backend()
        page = IncidentRepository(here.store).list(
            state=state, severity=severity, job=job, assignee=assignee, before=before, limit=limit
        )
        return {"incidents": [incident.as_json(here.url) for incident in page.incidents], "next": page.next}

    @app.get("/incidents/{incident}", tags=["incidents"])
    def incident(
        request: Request, caller: Annotated[Principal, allow("incidents:read")], incident: IncidentId
    ) -> dict[str, Any]:
        """One incident with its alerts, why each belongs to it, its root causes, and its timeline."""
        here = backend()
        return whole(IncidentRepository(here.store), incident, here.url)

    @app.get("/incidents/{incident}/postmortem", tags=["incidents"])
    def postmortem(
        request: Request, caller: Annotated[Principal, allow("incidents:read")], incident: IncidentId
    ) -> Response:
        """Its post-mortem in Markdown: what is known is filled in."""
        here = backend()
        text = postmortem_of(IncidentRepository(here.store), incident, here.url)
        return Response(text, media_type="text/markdown; charset=utf-8")


def _create(app: FastAPI, backend: Callable[[], Any], read_json: ReadJson) -> None:
    @app.post("/incidents", tags=["incidents"], status_code=201, openapi_extra=body_schema(NewIncident))
    async def create(request: Request, caller: Annotated[Principal, allow("incidents:act")]) -> dict[str, Any]:
        """Open an incident by hand; people are told at once."""
        here = backend()
        body: NewIncident = await read_json(request, NewIncident, here.max_body)

        def act() -> dict[str, Any]:
            made = IncidentService(here.store).create(**_said(caller, body), now_ms=_now_ms())
            return whole(IncidentRepository(here.store), made.id, here.url)

        return await run_in_threadpool(act)


ACTS: tuple[tuple[str, str, type[Body], str], ...] = (
    ("ack", "acknowledge", Act, "Say that somebody takes care of it: escalation stops. 409 if it is not live."),
    ("resolve", "resolve", Act, "End it; alerts that come later are another incident. 409 if it is not live."),
    ("reopen", "reopen", Act, "Take it up again; people are told again. 409 if it is not resolved."),
    ("assign", "assign", Assignment, "Say who handles it. 409 if it is not live."),
    ("comment", "comment", Comment, "Add a comment to its timeline."),
    ("rename", "rename", Rename, "Give it a title that alerts do not change any more."),
    ("class", "classify", Classification, "Say of what class it is; later incidents are classified by it, too."),
    ("merge", "merge", Merge, "Make it a part of another one; gives the other one. 409 if one is not live."),
    (
        "split", "split", Split,
        "Move alerts into an incident of their own; gives the new one. 409 if they are not in it.",
    ),
)  # fmt: skip
"""Path, use case, body and description of each act on one incident."""


def _act(app: FastAPI, backend: Callable[[], Any], read_json: ReadJson) -> None:
    def add(path: str, use_case: str, model: type[Body], description: str) -> None:
        @app.post(
            f"/incidents/{{incident}}/{path}", tags=["incidents"], name=path, description=description,
            openapi_extra=body_schema(model),
        )  # fmt: skip
        async def act(
            request: Request, caller: Annotated[Principal, allow("incidents:act")], incident: IncidentId
        ) -> dict[str, Any]:
            here = backend()
            body = await read_json(request, model, here.max_body)
            return await run_in_threadpool(_done, here, use_case, incident, _said(caller, body))

    for each in ACTS:
        add(*each)


def _done(here: Any, use_case: str, incident: str, given: dict[str, Any]) -> dict[str, Any]:
    made = getattr(IncidentService(here.store), use_case)(incident, **given, now_ms=_now_ms())
    return whole(IncidentRepository(here.store), made.id, here.url)


def _said(caller: Principal, body: Body) -> dict[str, Any]:
    """A body, with who acts."""
    given = body.model_dump()
    return {**given, "who": author(caller, given["who"])}


def _now_ms() -> int:
    return round(time.time() * 1000)
