"""Routes of the HTTP API."""

from __future__ import annotations

from datetime import UTC
from functools import cache
from typing import Any, TypeVar

import orjson
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope

from foreshock.serving.alerts_api import add_alerts
from foreshock.serving.document import Api, header_of
from foreshock.serving.jobs_api import add_jobs
from foreshock.serving.predictions import add_predictions
from foreshock.serving.problems import Problem, problem_of, problem_response
from foreshock.serving.schemas import ARROW, ArrowQuery, ExplainRequest, ScoreRequest, TrainRequest, body_schema
from foreshock.serving.unwatched import SCORE
from foreshock_models.errors import ForeshockError

__all__ = ["api", "checked", "run_json"]

B = TypeVar("B", bound=BaseModel)
PROBLEM = {"description": "what was wrong, and what was allowed", "content": {"application/problem+json": {}}}
PROBLEMS: dict[int | str, dict[str, Any]] = {status: PROBLEM for status in (400, 401, 404, 409, 413, 415, 422, 503)}
JOB = Query(pattern=r"^[a-z][a-z0-9_-]{0,62}$")


def api() -> FastAPI:
    """The FastAPI application; an `Ingress` answers for it."""
    app = Api(
        lambda path, authorization: bool(_backend().guard.admits(path, authorization)),
        title="Foreshock",
        summary="Scores, explanations and alerts for metric windows.",
        version="1",
        responses=PROBLEMS,
        redoc_url=None,
    )
    _errors(app)
    _health(app)
    _models(app)
    add_alerts(app, _backend, _json)
    add_predictions(app, _backend)
    add_jobs(app, _backend)
    # Serve goes through them from the first on, to see which one a request is for
    app.router.routes.sort(key=lambda route: getattr(route, "path", None) != SCORE)
    return app


def _errors(app: FastAPI) -> None:
    @app.exception_handler(Problem)
    async def problem(request: Request, exc: Problem) -> Response:
        return problem_response(request, exc)

    @app.exception_handler(ForeshockError)
    async def known(request: Request, exc: ForeshockError) -> Response:
        return problem_response(request, problem_of(exc))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, exc: RequestValidationError) -> Response:
        return problem_response(request, _invalid(exc.errors()))

    @app.exception_handler(HTTPException)
    async def http(request: Request, exc: HTTPException) -> Response:
        response = problem_response(request, Problem(exc.status_code, str(exc.detail)))
        response.headers.update(exc.headers or {})
        return response


def _health(app: FastAPI) -> None:
    @app.get("/healthz", tags=["health"])
    async def alive() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["health"])
    async def ready(request: Request) -> Response:
        """It can score: 503 until a model is served."""
        served = await _backend().served()
        return JSONResponse({"status": "ok" if served else "no model is served yet"}, 200 if served else 503)

    @app.get("/metrics", tags=["health"], response_class=PlainTextResponse)
    async def metrics(request: Request) -> PlainTextResponse:
        """Latest scores and the platform's own state, for Prometheus."""
        return PlainTextResponse(await _backend().metrics(), media_type="text/plain; version=0.0.4")


def _models(app: Api) -> None:
    @app.post(SCORE, tags=["scoring"], openapi_extra=body_schema(ScoreRequest, arrow=ArrowQuery))
    async def score(request: Request) -> Response:
        """Scores of one or many windows; 1.0 is the alert line. Arrow in, Arrow out."""
        body, kind = await _score(request.scope, request.receive)
        return Response(body, media_type=kind.decode())

    app.short[SCORE] = _score

    @app.post("/ai/explain", tags=["scoring"], openapi_extra=body_schema(ExplainRequest))
    async def explain(request: Request) -> Response:
        """How much each feature drove a score (SHAP), beside what is usual."""
        backend = _backend()
        return _answer(await backend.explain(await _json(request, ExplainRequest, backend.max_body)))

    @app.get("/ai/models", tags=["models"])
    async def models(request: Request) -> list[dict[str, Any]]:
        """What is served, which version, trained on what."""
        found: list[dict[str, Any]] = await _backend().served()
        return found

    @app.post("/ai/train", tags=["models"], status_code=202, openapi_extra=body_schema(TrainRequest))
    async def train(request: Request) -> dict[str, str | None]:
        """Start a training run, of the job as its file says now; 409 if one is under way.

        `refused`: why the file does not hold, in which case the job is trained as it is in force.
        """
        backend = _backend()
        body = await _json(request, TrainRequest, backend.max_body)
        run, refused = await backend.train(body.job)
        return {"run": run, "refused": refused}

    @app.get("/ai/runs/{run}", tags=["models"])
    def run(request: Request, run: str) -> dict[str, Any]:
        """State, log and result of a run."""
        found: dict[str, Any] = _backend().run(run)
        return found


async def _score(scope: Scope, receive: Receive) -> tuple[bytes, bytes]:
    """The body of the answer, and its content type; nothing on the way that need not be there."""
    backend = _backend()
    kind = _content_type(scope)
    if kind == ARROW:
        query = checked(ArrowQuery, dict(QueryParams(scope["query_string"])))
        if query.job is None:
            raise Problem(422, "job: name the job in the query, as in /ai/score?job=demo")
        data = await _read(scope, receive, backend.max_body)
        return await backend.score_arrow(query.job, data, query.last), ARROW.encode()
    return await backend.score(await _value(scope, receive, backend.max_body, also=ARROW)), b"application/json"


@cache
def _backend() -> Any:
    """The `Ingress` of this replica."""
    from ray import serve

    return serve.get_replica_context().servable_object


def _content_type(scope: Scope) -> str:
    return (header_of(scope, b"content-type") or "").partition(";")[0].strip().lower()


async def _read(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The body, refused as soon as it is over the limit."""
    too_large = int(header_of(scope, b"content-length") or 0) > limit
    parts, size, more = [], 0, True
    while more and not too_large:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part = message.get("body", b"")
        parts.append(part)
        size += len(part)
        too_large, more = size > limit, message.get("more_body", False)
    if too_large:
        raise Problem(413, f"the body is larger than {limit} bytes (FORESHOCK_MAX_BODY); send fewer rows")
    return b"".join(parts)


async def _json(request: Request, model: type[B], limit: int) -> B:
    return checked(model, await _value(request.scope, request.receive, limit))


async def _value(scope: Scope, receive: Receive, limit: int, also: str | None = None) -> Any:
    """The JSON value of the body."""
    kind = _content_type(scope)
    if kind != "application/json":
        options = "application/json" + (f" or {also}" if also else "")
        raise Problem(415, f"the content type {kind or 'of the body'!r} is not known; send {options}")
    data = await _read(scope, receive, limit)
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as exc:
        hint = "; NaN is not JSON: write null for a gap" if b"NaN" in data else ""
        raise Problem(400, f"the body is not JSON: {exc}{hint}") from exc


def checked(model: type[B], value: Any) -> B:
    """A body or query by its schema; a Problem that says what is wrong with it."""
    try:
        return model.model_validate(value)
    except ValidationError as exc:
        raise _invalid(exc.errors(include_url=False, include_input=False)) from exc


def _invalid(errors: Any) -> Problem:
    found = [{"at": ".".join(map(str, e["loc"])), "message": e["msg"]} for e in list(errors)[:20]]
    first = found[0]
    return Problem(422, f"{first['at']}: {first['message']}", errors=found)


def _answer(value: Any) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")


def run_json(run: Any) -> dict[str, Any]:
    """A run as JSON values."""
    times = {
        k: t.astimezone(UTC).isoformat() if (t := getattr(run, k)) else None for k in ("due", "started", "ended")
    }
    return {k: getattr(run, k) for k in ("id", "job", "kind", "state", "cause", "error", "log", "result")} | times
