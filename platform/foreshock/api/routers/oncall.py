"""``/oncall``, ``/notifications``, ``/ack``: schedules, tests and previews of channels, links that acknowledge."""

from __future__ import annotations

import html
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs

from fastapi import FastAPI, Path, Query, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, Response

from foreshock.api.authorization import allow
from foreshock.api.errors import Problem
from foreshock.api.request_body import receive_body
from foreshock.api.routers.alerts import NO_NUL, ReadJson
from foreshock.api.schemas import Body, body_schema
from foreshock.identity.model import Principal
from foreshock.oncall.ack_links import AckLinks
from foreshock.oncall.calendar import to_ical
from foreshock.oncall.config import NotificationsConfig
from foreshock.oncall.config_file import load_notifications, notifications_file
from foreshock.oncall.schedule import ScheduleConfig, shifts
from foreshock.oncall.service import Notifications, duty
from foreshock.store.scope import current_tenant, unscoped
from foreshock_models.errors import NotifyError, StateError, StoreError, allowed

__all__ = ["add_oncall"]

Name = Annotated[str, Field(min_length=1, max_length=64, pattern=NO_NUL)]
ScheduleName = Annotated[str, Path(max_length=64, pattern=NO_NUL, description="name of the schedule")]
Reader = Annotated[Principal, allow("oncall:read")]
Days = Annotated[int, Query(ge=1, le=366, description="so many days from now on")]
LARGEST_FORM = 4096
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Foreshock</title>
<meta name="viewport" content="width=device-width"><meta name="robots" content="noindex">
<meta name="referrer" content="no-referrer"></head>
<body style="font-family:sans-serif;max-width:32em;margin:3em auto;padding:0 1em">{body}</body></html>"""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class ChannelTest(Body):
    """The channel that a test is sent by."""

    channel: Name


class Preview(Body):
    """The channel, and the incident that the message is about."""

    channel: Name
    incident: Name | None = Field(None, description="default: an example")
    event: Literal["paged", "escalated", "acknowledged", "resolved", "reopened", "joined"] = "paged"


class Send(Body):
    """A message of one's own."""

    title: Annotated[str, Field(min_length=1, max_length=4000, pattern=NO_NUL)]
    recipients: list[Name] = Field(default_factory=list, max_length=100, description="names of people")
    channels: list[Name] = Field(default_factory=list, max_length=100, description="names of channels")
    template: Name | None = None
    priority: Literal["low", "normal", "high"] = "normal"
    variables: dict[str, Any] = Field(default_factory=dict, max_length=100, description="for the template")


def add_oncall(app: FastAPI, backend: Callable[[], Any], read_json: ReadJson) -> None:
    """Add the routes; `backend` gives the `Ingress` of this replica, `read_json` a checked body."""
    _schedules(app, backend)
    _notifications(app, backend, read_json)
    _acknowledge(app, backend)


def _schedules(app: FastAPI, backend: Callable[[], Any]) -> None:
    @app.get("/oncall", tags=["on-call"])
    def on_call(request: Request, caller: Reader) -> list[dict[str, Any]]:
        """Say of each schedule who is on call now and next, and the gaps of the next two weeks."""
        return duty(_config(backend()), datetime.now(UTC))

    @app.get("/oncall/{schedule}", tags=["on-call"])
    def schedule(
        request: Request,
        caller: Reader,
        schedule: ScheduleName,
        days: Days = 28,
    ) -> list[dict[str, Any]]:
        """Shifts of a schedule; where nobody is on call, the person is null."""
        now = datetime.now(UTC)
        found = shifts(_schedule(backend(), schedule), now, now + timedelta(days=days))
        return [{"start": s.start.isoformat(), "end": s.end.isoformat(), "person": s.person} for s in found]

    @app.get("/oncall/{schedule}/calendar", tags=["on-call"])
    def calendar(
        request: Request,
        caller: Reader,
        schedule: ScheduleName,
        days: Days = 90,
    ) -> Response:
        """Shifts of a schedule as iCalendar."""
        now = datetime.now(UTC)
        data = to_ical(schedule, shifts(_schedule(backend(), schedule), now, now + timedelta(days=days)), now)
        return Response(data, media_type="text/calendar; charset=utf-8")


def _notifications(app: FastAPI, backend: Callable[[], Any], read_json: ReadJson) -> None:
    @app.post("/notifications/test", tags=["notifications"], openapi_extra=body_schema(ChannelTest))
    async def test(
        request: Request, caller: Annotated[Principal, allow("notifications:write")]
    ) -> dict[str, str | None]:
        """Send a message that says that it is a test; `problem`: why the receiver did not take it."""
        here = backend()
        body: ChannelTest = await read_json(request, ChannelTest, here.max_body)

        def act() -> dict[str, str | None]:
            try:
                _service(here).test(body.channel, _now_ms())
            except NotifyError as exc:
                return {"channel": body.channel, "problem": str(exc)}
            return {"channel": body.channel, "problem": None}

        return await run_in_threadpool(act)

    @app.post("/notifications/preview", tags=["notifications"], openapi_extra=body_schema(Preview))
    async def preview(
        request: Request, caller: Annotated[Principal, allow("notifications:read")]
    ) -> dict[str, str | None]:
        """Render a message; `problem`: why a template of one's own is not used."""
        here = backend()
        body: Preview = await read_json(request, Preview, here.max_body)

        def act() -> dict[str, str | None]:
            done = _service(here).preview(body.channel, body.incident, _now_ms(), body.event)
            return {"title": done.title, "body": done.body, "problem": done.problem}

        return await run_in_threadpool(act)

    @app.post("/notifications", tags=["notifications"], status_code=202, openapi_extra=body_schema(Send))
    async def send(request: Request, caller: Annotated[Principal, allow("notifications:write")]) -> dict[str, str]:
        """Send a message of one's own; gives its id."""
        here = backend()
        body: Send = await read_json(request, Send, here.max_body)
        given = {k: v for k, v in body.model_dump().items() if k != "title"}
        name = await run_in_threadpool(lambda: _service(here).send(body.title, **given, now_ms=_now_ms()))
        return {"id": name}


def _acknowledge(app: FastAPI, backend: Callable[[], Any]) -> None:
    @app.get("/ack", tags=["incidents"], response_class=HTMLResponse)
    def look(
        request: Request,
        token: Annotated[str, Query(max_length=200, pattern=NO_NUL, description="of the link")] = "",
    ) -> HTMLResponse:
        """Show the page of a link that acknowledges; only its button does so, a preview of the link does not."""
        try:
            with unscoped():
                _, incident = AckLinks(backend().store).look(token, _now_ms())
        except (StateError, StoreError) as exc:
            return _refused(request, exc)
        return _page(
            f"<h1>{html.escape(incident.title)}</h1><p>{incident.severity}, {incident.state}, "
            f"{incident.alerts} alerts</p><form method='post' action='/ack'>"
            f"<input type='hidden' name='token' value='{html.escape(token)}'>"
            "<button style='font-size:1.2em;padding:.5em 1em'>Acknowledge</button></form>"
        )

    @app.post("/ack", tags=["incidents"], response_class=HTMLResponse)
    async def use(request: Request) -> HTMLResponse:
        """Acknowledge by a link; it is used up."""
        here = backend()
        data = await receive_body(request.scope, request.receive, LARGEST_FORM)
        token = parse_qs(data.decode("ascii", "replace")).get("token", [""])[0]
        try:
            with unscoped():
                done = await run_in_threadpool(AckLinks(here.store).use, token, _now_ms())
        except (StateError, StoreError) as exc:
            return _refused(request, exc)
        return _page(f"<h1>Acknowledged</h1><p>{html.escape(done.title)}: by {html.escape(str(done.assignee))}</p>")


def _refused(request: Request, exc: Exception) -> HTMLResponse:
    """Say why a link does not acknowledge: as a page to a browser, as a problem to a program."""
    if "text/html" not in request.headers.get("accept", ""):
        raise Problem(410, str(exc))
    return _page(f"<h1>Not acknowledged</h1><p>{html.escape(str(exc))}</p>", 410)


def _page(body: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(PAGE.format(body=body), status, HEADERS)


def _config(here: Any) -> NotificationsConfig:
    """The notifications file of the caller's tenant."""
    return load_notifications(notifications_file(here.settings.notifications, current_tenant()))


def _schedule(here: Any, name: str) -> ScheduleConfig:
    found = _config(here).schedules
    if name not in found:
        raise Problem(404, f"no schedule {name!r}; {allowed(name, found)}")
    return found[name]


def _service(here: Any) -> Notifications:
    return Notifications(here.store, _config(here), here.url)


def _now_ms() -> int:
    return round(time.time() * 1000)
