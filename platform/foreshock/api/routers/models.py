"""``/ai/models/{job}``: which version is the champion, changed over HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import FastAPI, Path, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from foreshock.api.authorization import allow
from foreshock.api.errors import Problem
from foreshock.api.schemas import Body, body_schema
from foreshock.identity.model import Principal
from foreshock.runs.champions import Champions
from foreshock_pipelines.registry import Model

__all__ = ["add_models"]

Job = Annotated[str, Path(max_length=64, pattern=r"^[^\x00]*$", description="name of the job")]
PROMOTES = Annotated[Principal, allow("models:promote")]
ReadJson = Callable[..., Awaitable[Any]]


class Promotion(Body):
    """The version that is to be the champion."""

    which: Annotated[str, Field(max_length=128, pattern=r"^[^\x00]*$")] = Field(
        "challenger", description="alias or version"
    )


def add_models(app: FastAPI, backend: Callable[[], Any], read_json: ReadJson) -> None:
    """Add the routes; `backend` gives the `Ingress` of this replica, `read_json` a checked body."""

    @app.post("/ai/models/{job}/promote", tags=["models"], openapi_extra=body_schema(Promotion))
    async def promote(request: Request, caller: PROMOTES, job: Job) -> dict[str, str]:
        """Make a version the champion; it is served within seconds."""
        here = backend()
        _check(here, caller, job)
        body: Promotion = await read_json(request, Promotion, here.max_body)
        return _told(await run_in_threadpool(_champions(here).promote, job, body.which))

    @app.post("/ai/models/{job}/rollback", tags=["models"])
    async def rollback(request: Request, caller: PROMOTES, job: Job) -> dict[str, str]:
        """Make the champion before this one the champion again; 404 if there was none."""
        here = backend()
        _check(here, caller, job)
        return _told(await run_in_threadpool(_champions(here).rollback, job))


def _check(here: Any, caller: Principal, job: str) -> None:
    """Refuse (404) a job that is another tenant's, or that the caller has no permission for: it is not seen."""
    jobs = here.jobs_for(caller, "models:promote")
    if jobs is not None and not jobs.admits(job):
        raise Problem(404, f"no job {job!r} here")


def _champions(here: Any) -> Champions:
    return Champions(here.models, here.store)


def _told(model: Model) -> dict[str, str]:
    return {"job": model.job, "champion": model.version}
