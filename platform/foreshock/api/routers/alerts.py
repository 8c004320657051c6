"""Alerts, silences and entities over HTTP: the same as on the command line, on the same store."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Path, Query, Request
from pydantic import Field, ValidationInfo, field_validator
from starlette.concurrency import run_in_threadpool

from foreshock.alerts import service
from foreshock.alerts.model import Alert
from foreshock.alerts.payload import alert_payload
from foreshock.alerts.repository import AlertRepository
from foreshock.alerts.silence_matches import count_matches
from foreshock.api.authorization import allow, author
from foreshock.api.errors import Problem
from foreshock.api.schemas import Body, body_schema
from foreshock.clock import iso
from foreshock.entities.service import entities as list_entities
from foreshock.entities.service import forget as forget_entities
from foreshock.feedback import service as feedback
from foreshock.feedback.model import describe_effect
from foreshock.feedback.repository import FeedbackRepository
from foreshock.identity.model import Principal
from foreshock.silences.matchers import LONGEST
from foreshock.silences.model import Silence
from foreshock.silences.parsing import LONGEST_REASON, LONGEST_TIME, MOST_MATCHERS, parse_silence
from foreshock.silences.recurrence import LONGEST_RULE
from foreshock.silences.repository import SilenceRepository
from foreshock.silences.visibility import concerns, names_of
from foreshock_models.errors import StoreError

__all__ = ["add_alerts"]

NO_NUL = r"^[^\x00]*$"
JOB = r"^[a-z][a-z0-9_-]{0,62}$"
JobFilter = Annotated[str | None, Query(pattern=JOB, description="only this job")]
AlertId = Annotated[str, Path(max_length=64, pattern=NO_NUL, description="id of the alert")]
SilenceId = Annotated[str, Path(max_length=64, pattern=NO_NUL, description="id of the silence")]
Who = Annotated[str, Field(min_length=1, max_length=128, pattern=NO_NUL, examples=["anna"])]
WhoQuery = Annotated[
    str | None,
    Query(
        min_length=1, max_length=128, pattern=NO_NUL, description="who does it, if a program does it for somebody"
    ),
]
Time = Annotated[str, Field(max_length=LONGEST_TIME, pattern=NO_NUL)]
Why = Annotated[str, Field(max_length=2000, pattern=NO_NUL, examples=["restarted it"])]


class Act(Body):
    """The author of an action on an alert, and the reason."""

    who: Who | None = Field(None, description="who does it, if a program does it for somebody; a person is known")
    why: Why = ""


class FeedbackBody(Act):
    """The verdict of a person on an alert."""

    verdict: Literal["false", "true", "exclude"] = Field(
        description="false: a false alarm, whose like shall not alert again; true: an anomaly, a label for tuning; "
        "exclude: rows that are not to be learnt from"
    )
    start: datetime | None = Field(None, description="first row that it is about; default: the alert's")
    end: datetime | None = Field(None, description="last row that it is about")

    @field_validator("end")
    @classmethod
    def _both(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        if (value is None) != (info.data.get("start") is None):
            raise ValueError("give both start and end, or neither")
        return value


class SilenceBody(Body):
    """A silence, or a recurring maintenance window."""

    matchers: list[Annotated[str, Field(max_length=4 * LONGEST, pattern=NO_NUL)]] = Field(
        min_length=1, max_length=MOST_MATCHERS, examples=[["job=node", 'instance=~"web-.*"']]
    )
    owner: Who | None = Field(None, description="whose it is, if a program makes it; a person's own is theirs")
    reason: Annotated[str, Field(min_length=1, max_length=LONGEST_REASON, pattern=NO_NUL, examples=["disk swap"])]
    start: Time = Field("now", description="now, -3h, or ISO 8601; without an offset local to `timezone`")
    end: Time | None = Field(None, description="required, unless a one-off has a duration")
    duration: Time | None = Field(None, description="how long a one-off, or each recurring window, lasts: 90m")
    rule: str | None = Field(
        None, max_length=LONGEST_RULE, pattern=NO_NUL, description="RRULE of iCalendar: FREQ=WEEKLY;BYDAY=SU"
    )
    timezone: Time = "UTC"
    exclude: bool | None = Field(
        None, description="its rows are not learnt from; default: if its start is in the past"
    )


ReadJson = Callable[..., Awaitable[Any]]


def add_alerts(app: FastAPI, backend: Callable[[], Any], read_json: ReadJson) -> None:
    """Add the routes; `backend` gives the `Ingress` of this replica, `read_json` a checked body."""
    _read(app, backend)
    _act(app, backend, read_json)
    _silences(app, backend, read_json)
    _entities(app, backend)


def _read(app: FastAPI, backend: Callable[[], Any]) -> None:
    @app.get("/ai/anomalies", tags=["alerts"])
    def anomalies(
        request: Request,
        caller: Annotated[Principal, allow("alerts:read")],
        job: JobFilter = None,
        entity: Annotated[str | None, Query(max_length=512, pattern=NO_NUL, description="only this entity")] = None,
        state: Annotated[
            Literal["open", "acknowledged", "resolved", "live"] | None,
            Query(description="live: open or acknowledged; default: all"),
        ] = None,
        kind: Annotated[
            Literal["anomaly", "absent", "predicted", "notice"] | None, Query(description="default: all")
        ] = None,
        severity: Annotated[
            Literal["info", "warning", "critical"] | None, Query(description="default: all")
        ] = None,
        since: Annotated[datetime | None, Query(description="changed then or later")] = None,
        before: Annotated[int | None, Query(ge=0, le=2**62, description="`next` of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=500, description="at most so many alerts")] = 50,
    ) -> dict[str, Any]:
        """Alerts, the newest first."""
        here = backend()
        page = AlertRepository(here.store).list(
            job=job, entity=entity, state=state, kind=kind, severity=severity,
            since_ms=_ms(since) if since is not None else None, before=before, limit=limit,
        )  # fmt: skip
        return {"anomalies": [alert_payload(a, a.state, here.url) for a in page.alerts], "next": page.next}

    @app.get("/ai/anomalies/{alert}", tags=["alerts"])
    def anomaly(
        request: Request, caller: Annotated[Principal, allow("alerts:read")], alert: AlertId
    ) -> dict[str, Any]:
        """One alert with its history, and what people said of it."""
        return _whole(backend(), AlertRepository(backend().store).get(alert))


def _act(app: FastAPI, backend: Callable[[], Any], read_json: ReadJson) -> None:
    @app.post("/ai/anomalies/{alert}/ack", tags=["alerts"], openapi_extra=body_schema(Act))
    async def ack(
        request: Request, caller: Annotated[Principal, allow("alerts:act")], alert: AlertId
    ) -> dict[str, Any]:
        """Say that somebody takes care of it; 409 if it is resolved."""
        body: Act = await read_json(request, Act, backend().max_body)
        return await _do(backend(), service.acknowledge, alert, who=author(caller, body.who), why=body.why)

    @app.post("/ai/anomalies/{alert}/resolve", tags=["alerts"], openapi_extra=body_schema(Act))
    async def resolve(
        request: Request, caller: Annotated[Principal, allow("alerts:act")], alert: AlertId
    ) -> dict[str, Any]:
        """End it, for as long as the same episode goes on and is not critical; 409 if it is resolved."""
        body: Act = await read_json(request, Act, backend().max_body)
        return await _do(backend(), service.resolve, alert, who=author(caller, body.who), why=body.why)

    @app.post("/ai/anomalies/{alert}/feedback", tags=["alerts"], openapi_extra=body_schema(FeedbackBody))
    async def give(
        request: Request, caller: Annotated[Principal, allow("feedback:give")], alert: AlertId
    ) -> dict[str, Any]:
        """Say whether it was right; the detector learns from it at once. 409 if that was said already."""
        here = backend()
        body: FeedbackBody = await read_json(request, FeedbackBody, here.max_body)
        interval = None if body.start is None or body.end is None else (_ms(body.start), _ms(body.end))

        def act() -> dict[str, Any]:
            given = feedback.add_feedback(
                here.store, here.models, alert, body.verdict, who=author(caller, body.who), now_ms=_now_ms(),
                interval=interval, note=body.why, url=here.url,
            )  # fmt: skip
            return {"means": describe_effect(given), **_whole(here, AlertRepository(here.store).get(alert))}

        return await run_in_threadpool(act)

    @app.delete("/ai/anomalies/{alert}/feedback", tags=["alerts"])
    def undo(
        request: Request, caller: Annotated[Principal, allow("feedback:give")], alert: AlertId, who: WhoQuery = None
    ) -> dict[str, Any]:
        """Take back what was said last of it; 409 if nothing is in force."""
        here = backend()
        feedback.undo_feedback(here.store, alert, who=author(caller, who), now_ms=_now_ms())
        return _whole(here, AlertRepository(here.store).get(alert))


def _silences(app: FastAPI, backend: Callable[[], Any], read_json: ReadJson) -> None:
    @app.get("/ai/silences", tags=["silences"])
    def silences(
        request: Request,
        caller: Annotated[Principal, allow("silences:read")],
        over: Annotated[bool, Query(description="those that are over, too")] = False,
    ) -> list[dict[str, Any]]:
        """Silences that could hold back alerts of one's jobs, in the order of their ends."""
        here, now = backend(), _now_ms()
        found = SilenceRepository(here.store).unexpired(0 if over else now)
        return [s.as_json(now) for s in found if _visible(here, caller, "silences:read", s)]

    @app.get("/ai/silences/{silence}", tags=["silences"])
    def silence(
        request: Request, caller: Annotated[Principal, allow("silences:read")], silence: SilenceId
    ) -> dict[str, Any]:
        """One silence."""
        return _silence(backend(), caller, "silences:read", silence).as_json(_now_ms())

    @app.post("/ai/silences", tags=["silences"], status_code=201, openapi_extra=body_schema(SilenceBody))
    async def add(request: Request, caller: Annotated[Principal, allow("silences:write")]) -> dict[str, Any]:
        """Hold back alerts for a time, once or again and again; `matches` says of how many that are known now."""
        here = backend()
        body: SilenceBody = await read_json(request, SilenceBody, here.max_body)

        def act() -> dict[str, Any]:
            fields = {**body.model_dump(), "owner": author(caller, body.owner)}
            made = parse_silence(**fields, now=datetime.now(UTC))
            _of_own_jobs(caller, made)
            added = SilenceRepository(here.store).add(made)
            return {**added.as_json(_now_ms()), "matches": count_matches(here.store, here.models, added).as_json()}

        return await run_in_threadpool(act)

    @app.delete("/ai/silences/{silence}", tags=["silences"])
    def end(
        request: Request,
        caller: Annotated[Principal, allow("silences:write")],
        silence: SilenceId,
        who: WhoQuery = None,
    ) -> dict[str, Any]:
        """Let it end now; what it held back and still lasts is sent. 409 if it is over."""
        _of_own_jobs(caller, _silence(backend(), caller, "silences:write", silence))
        return SilenceRepository(backend().store).expire(silence, _now_ms(), author(caller, who)).as_json(_now_ms())


def _silence(here: Any, caller: Principal, permission: str, silence_id: str) -> Silence:
    """Return one silence; 404 for one that could not concern a job of the caller's."""
    found = SilenceRepository(here.store).get(silence_id)
    if not _visible(here, caller, permission, found):
        raise StoreError(f"no silence {silence_id!r}; see: foreshock silences list")
    return found


def _visible(here: Any, caller: Principal, permission: str, silence: Silence) -> bool:
    patterns = caller.jobs(permission)
    if patterns is None:
        return True
    jobs = here.jobs_for(caller, permission)
    return concerns(silence, names_of(patterns, filter(jobs.admits, here.jobs), silence))


def _of_own_jobs(caller: Principal, silence: Silence) -> None:
    """Refuse (403) a silence that holds back alerts of jobs that its author may not silence."""
    if caller.jobs("silences:write") is None:
        return
    named = [matcher.value for matcher in silence.matchers if (matcher.name, matcher.op) == ("job", "=")]
    if not any(caller.may("silences:write", job) for job in named):
        raise Problem(403, "you may silence some jobs only: add a matcher that names one of them, as in job=web-1")


def _entities(app: FastAPI, backend: Callable[[], Any]) -> None:
    @app.get("/ai/entities", tags=["entities"])
    def listed(
        request: Request, caller: Annotated[Principal, allow("entities:read")], job: JobFilter = None
    ) -> list[dict[str, Any]]:
        """List the monitored entities: calm, pending, anomalous or absent, and whether they are still warming."""
        return list_entities(backend().store, job)

    @app.delete("/ai/entities", tags=["entities"])
    def forget(
        request: Request,
        caller: Annotated[Principal, allow("entities:forget")],
        job: Annotated[str, Query(pattern=JOB, description="name of the job")],
        entity: Annotated[str, Query(max_length=512, pattern=NO_NUL, description="the entity")],
        who: WhoQuery = None,
    ) -> dict[str, Any]:
        """Take an entity as decommissioned: it is missed no more, its alerts are resolved."""
        here = backend()
        done = forget_entities(
            here.store, job, [entity], who=author(caller, who), why="", now_ms=_now_ms(), url=here.url
        )
        return {"forgotten": entity, "resolved": [alert.id for alert in done]}


async def _do(here: Any, act: Callable[..., Alert], alert: str, **more: Any) -> dict[str, Any]:
    done = await run_in_threadpool(act, here.store, alert, **more, now_ms=_now_ms(), url=here.url)
    return await run_in_threadpool(_whole, here, done)


def _whole(here: Any, alert: Alert) -> dict[str, Any]:
    lines = [
        {"at": iso(h["at_ms"]), **{k: h[k] for k in ("event", "who", "why")}}
        for h in AlertRepository(here.store).history(alert.id)
    ]
    said = [
        {
            "verdict": f.verdict, "start": iso(f.start_ms), "end": iso(f.end_ms), "who": f.who, "at": iso(f.at_ms),
            "undone": iso(f.undone_ms) if f.undone_ms is not None else None, "note": f.note,
        }
        for f in FeedbackRepository(here.store).of_alert(alert.id)
    ]  # fmt: skip
    return {**alert_payload(alert, alert.state, here.url), "history": lines, "feedback": said}


def _ms(time: datetime) -> int:
    return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


def _now_ms() -> int:
    return round(time.time() * 1000)
