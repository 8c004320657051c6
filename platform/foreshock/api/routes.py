"""Routes of the HTTP API."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, TypeVar, cast

import orjson
from fastapi import FastAPI, Path, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope

from foreshock.api.asgi import Api
from foreshock.api.authorization import allow, principal_of
from foreshock.api.bodies import checked, json_value, refuse_repeated_keys, schema_problem
from foreshock.api.errors import INTERNAL, Problem, problem_of, problem_response
from foreshock.api.exposition import scrape_type
from foreshock.api.fast_path.disconnects import SCORE
from foreshock.api.limiting import Limits
from foreshock.api.request_body import content_type, receive_body
from foreshock.api.routers.admin import add_admin
from foreshock.api.routers.alerts import add_alerts
from foreshock.api.routers.auth import add_auth
from foreshock.api.routers.config import add_config
from foreshock.api.routers.feed import add_feed
from foreshock.api.routers.forecasts import add_predictions
from foreshock.api.routers.incidents import add_incidents
from foreshock.api.routers.jobs import add_jobs
from foreshock.api.routers.models import add_models
from foreshock.api.routers.oncall import add_oncall
from foreshock.api.routers.single_sign_on import add_single_sign_on
from foreshock.api.routers.slack import add_slack
from foreshock.api.schemas import ARROW, ArrowQuery, ExplainRequest, ScoreRequest, TrainRequest, body_schema
from foreshock.identity.model import Principal
from foreshock.identity.verification import Verifier
from foreshock_models.errors import ForeshockError

__all__ = ["api"]

B = TypeVar("B", bound=BaseModel)
PROBLEM = {"description": "what was wrong, and what was allowed", "content": {"application/problem+json": {}}}
STATUSES = (400, 401, 403, 404, 408, 409, 410, 412, 413, 415, 422, 428, 429, 503)
PROBLEMS: dict[int | str, dict[str, Any]] = {status: PROBLEM for status in STATUSES}
SMALL_BODY = 2**20
"""Largest body that holds no windows, bytes."""


def api() -> FastAPI:
    """The FastAPI application; an `Ingress` answers for it."""
    app = Api(
        lambda: cast(Verifier, _backend().verifier),
        lambda: cast(Limits, _backend().identity.limits),
        lambda *request: _backend().identity.note(*request),
        lambda: cast(tuple[str, ...], _backend().settings.origins),
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
    add_incidents(app, _backend, _json)
    add_oncall(app, _backend, _json)
    add_slack(app, _backend)
    add_feed(app, _backend)
    add_predictions(app, _backend)
    add_jobs(app, _backend)
    add_models(app, _backend, _json)
    add_auth(app, _backend, _json)
    add_single_sign_on(app, _backend)
    add_admin(app, _backend, _json)
    add_config(app, _backend, _json)
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
        return problem_response(request, schema_problem(exc.errors()))

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, exc: Exception) -> Response:
        """The last boundary; Starlette raises it again, and Serve logs it."""
        return problem_response(request, INTERNAL)

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
        """It can do its work: 503 until a model is served, and while the store is away."""
        missing = await _backend().unready()
        return JSONResponse({"status": missing or "ok"}, 503 if missing else 200)

    @app.get("/metrics", tags=["health"], response_class=PlainTextResponse)
    async def metrics(request: Request, who: Annotated[Principal, allow("metrics:read")]) -> PlainTextResponse:
        """Latest scores and the platform's own state, for Prometheus."""
        kind, utf8 = scrape_type(request.headers.get("accept", ""))
        return PlainTextResponse(await _backend().metrics(utf8), media_type=kind)


def _models(app: Api) -> None:
    @app.post(SCORE, tags=["scoring"], openapi_extra=body_schema(ScoreRequest, arrow=ArrowQuery))
    async def score(request: Request, who: Annotated[Principal, allow("scores:create")]) -> Response:
        """Scores of one or many windows; 1.0 is the alert line. Arrow in, Arrow out."""
        body, kind = await _score(request.scope, request.receive)
        return Response(body, media_type=kind.decode())

    app.short[SCORE] = "scores:create", _score

    @app.post("/ai/explain", tags=["scoring"], openapi_extra=body_schema(ExplainRequest))
    async def explain(request: Request, who: Annotated[Principal, allow("explanations:create")]) -> Response:
        """Explain how much each feature drove a score (SHAP), beside what is usual."""
        backend = _backend()
        _must_be_json(content_type(request.scope))
        with backend.body_memory.reserve() as reservation:
            data = await receive_body(request.scope, request.receive, backend.max_body, reservation)
            return _answer(await backend.explain(data, backend.jobs_for(who, "explanations:create")))

    @app.get("/ai/models", tags=["models"])
    async def models(request: Request, who: Annotated[Principal, allow("models:read")]) -> list[dict[str, Any]]:
        """Describe the served model: its version, and its training data."""
        backend = _backend()
        jobs = backend.jobs_for(who, "models:read")
        return [model for model in await backend.served() if jobs is None or jobs.admits(model["job"])]

    @app.post("/ai/train", tags=["models"], status_code=202, openapi_extra=body_schema(TrainRequest))
    async def train(request: Request, who: Annotated[Principal, allow("models:train")]) -> dict[str, str | None]:
        """Start a training run, of the job as its file says now; 409 if one is under way.

        `refused`: why the file is invalid, in which case the job is trained as it is in force.
        """
        backend = _backend()
        body = await _json(request, TrainRequest, backend.max_body)
        backend.reach(who, "models:train", body.job)
        run, refused = await backend.train(body.job)
        return {"run": run, "refused": refused}

    @app.get("/ai/runs/{run}", tags=["models"])
    def run(
        request: Request,
        who: Annotated[Principal, allow("runs:read")],
        run: Annotated[str, Path(description="id of the run")],
    ) -> dict[str, Any]:
        """State, log and result of a run."""
        found: dict[str, Any] = _backend().run(run)
        return found


async def _score(scope: Scope, receive: Receive) -> tuple[bytes, bytes]:
    """The body of the answer, and its content type; nothing on the way that need not be there."""
    backend = _backend()
    who = principal_of(scope)
    kind = content_type(scope)
    if kind == ARROW:
        query = checked(ArrowQuery, dict(QueryParams(scope["query_string"])))
        if query.job is None:
            raise Problem(422, "job: name the job in the query, as in /ai/score?job=demo")
        with backend.body_memory.reserve() as reservation:
            data = await receive_body(scope, receive, backend.max_body, reservation)
            backend.reach(who, "scores:create", query.job)
            return await backend.score_arrow(query.job, data, query.last), ARROW.encode()
    _must_be_json(kind, also=ARROW)
    with backend.body_memory.reserve() as reservation:
        data = await receive_body(scope, receive, backend.max_body, reservation)
        return await backend.score(data, backend.jobs_for(who, "scores:create")), b"application/json"


@cache
def _backend() -> Any:
    """The `Ingress` of this replica."""
    from ray import serve

    return serve.get_replica_context().servable_object


def _must_be_json(kind: str, also: str | None = None) -> None:
    if kind != "application/json":
        options = "application/json" + (f" or {also}" if also else "")
        raise Problem(415, f"the content type {kind or 'of the body'!r} is not known; send {options}")


async def _json(request: Request, model: type[B], limit: int) -> B:
    """A small body by its schema."""
    _must_be_json(content_type(request.scope))
    data = await receive_body(request.scope, request.receive, min(limit, SMALL_BODY))
    value = json_value(data)
    refuse_repeated_keys(data, value)
    return checked(model, value)


def _answer(value: Any) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")
