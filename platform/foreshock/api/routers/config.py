"""``/admin/config``: settings that change while an installation runs."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import FastAPI, Header, Path, Query, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from foreshock.api.authorization import allow
from foreshock.api.errors import Problem
from foreshock.api.schemas import Body, body_schema
from foreshock.configuration.model import Version, changes, described
from foreshock.configuration.service import LONGEST_NOTE, Configuration, StaleVersion
from foreshock.identity.model import Principal
from foreshock_models.errors import ConfigError

__all__ = ["add_config"]

READS = Annotated[Principal, allow("config:read")]
WRITES = Annotated[Principal, allow("config:write")]
Number = Annotated[int, Path(ge=0, le=2**31 - 1, description="number of the version; 0: nothing was set yet")]
Match = Annotated[
    str | None,
    Header(max_length=32, description='`ETag` of the settings that the change is made from, as `"3"`; `*`: of any'),
]
Note = Annotated[str, Field(max_length=LONGEST_NOTE, pattern=r"^[^\x00]*$", description="why, for the history")]
Value = str | int | bool | None
ETAG = re.compile(r'(?:W/)?"?(\d{1,9})"?')
NEWEST = 2**31 - 1
ReadJson = Callable[..., Awaitable[Any]]


class NewConfig(Body):
    """All live settings that are not to have their defaults."""

    values: dict[str, Value] = Field(
        max_length=100, examples=[{"limit_person": "600 per minute", "log_level": "DEBUG"}],
        description="name of a setting to its value; what is not named has its default",
    )  # fmt: skip
    note: Note = ""


class Return(Body):
    """The version to return to."""

    version: int = Field(ge=0, le=NEWEST)
    note: Note = ""


def add_config(app: FastAPI, backend: Callable[[], Any], read_json: ReadJson) -> None:
    """Add the routes; `backend` gives the `Ingress` of this replica, `read_json` a checked body."""
    _reading(app, backend)
    _writing(app, backend, read_json)


def _reading(app: FastAPI, backend: Callable[[], Any]) -> None:
    @app.get("/admin/config", tags=["admin"])
    def show(request: Request, caller: READS) -> Response:
        """Each live setting with its value, and whether environment, store or default gives it; with an `ETag`."""
        configuration = _configuration(backend())
        return _answer(configuration, configuration.current())

    @app.get("/admin/config/versions", tags=["admin"])
    def versions(
        request: Request,
        caller: READS,
        before: Annotated[int | None, Query(ge=0, le=NEWEST, description="`next` of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=500, description="at most so many")] = 50,
    ) -> dict[str, Any]:
        """Versions of the live settings, the newest first."""
        found = _configuration(backend()).history(before=before, limit=limit + 1)
        following = found[limit - 1].number if len(found) > limit else None
        return {"versions": [version.as_json() for version in found[:limit]], "next": following}

    @app.get("/admin/config/versions/{version}", tags=["admin"])
    def one(request: Request, caller: READS, version: Number) -> dict[str, Any]:
        """One version, with what it changed."""
        configuration = _configuration(backend())
        found = configuration.version(version)
        changed = configuration.diff(version - 1, version) if version else {}
        return {**found.as_json(), "changes": changed}

    @app.get("/admin/config/diff", tags=["admin"])
    def diff(
        request: Request,
        caller: READS,
        before: Annotated[int, Query(alias="from", ge=0, le=NEWEST, description="the one version")],
        after: Annotated[int, Query(alias="to", ge=0, le=NEWEST, description="the other version")],
    ) -> dict[str, Any]:
        """Differences between two versions, defaults filled in."""
        return {"from": before, "to": after, "changes": _configuration(backend()).diff(before, after)}


def _writing(app: FastAPI, backend: Callable[[], Any], read_json: ReadJson) -> None:
    @app.put("/admin/config", tags=["admin"], openapi_extra=body_schema(NewConfig))
    async def put(
        request: Request,
        caller: WRITES,
        if_match: Match = None,
        check: Annotated[bool, Query(description="say what would change, and change nothing")] = False,
    ) -> Response:
        """Set the live settings. 412 if they changed since they were read; 409 if a process could not apply them.

        All processes take them up within seconds. If one cannot, the settings before are in force again.
        """
        here = backend()
        body: NewConfig = await read_json(request, NewConfig, here.max_body)
        configuration = _configuration(here)
        if check:
            return await run_in_threadpool(_checked, configuration, body.values)
        expected = _expected(if_match)
        return await run_in_threadpool(
            _apply, here, lambda: configuration.set(body.values, expected=expected, note=body.note)
        )

    @app.post("/admin/config/rollback", tags=["admin"], openapi_extra=body_schema(Return))
    async def rollback(request: Request, caller: WRITES, if_match: Match = None) -> Response:
        """Return to an older version, as a new one; 409 and 412 as for `PUT /admin/config`."""
        here = backend()
        body: Return = await read_json(request, Return, here.max_body)
        expected = _expected(if_match)
        return await run_in_threadpool(
            _apply, here, lambda: _configuration(here).rollback(body.version, expected=expected, note=body.note)
        )


def _apply(here: Any, change: Callable[[], Version]) -> Response:
    configuration = _configuration(here)
    try:
        version = change()
    except StaleVersion as exc:
        raise Problem(412, str(exc)) from exc
    except ConfigError as exc:
        raise _problem(exc) from exc
    here.live.look()
    refused = configuration.settle(version)
    if refused is not None:
        raise Problem(
            409, f"version {version.number} could not be applied, and the one before is in force: {refused}"
        )
    return _answer(configuration, version)


def _checked(configuration: Configuration, values: dict[str, Value]) -> Response:
    try:
        found = configuration.check(values)
    except ConfigError as exc:
        raise _problem(exc) from exc
    current = configuration.current()
    return JSONResponse({"version": current.number, "changes": changes(current.values, found)})


def _answer(configuration: Configuration, version: Version) -> Response:
    body = version.as_json() | {"settings": described(version.values, configuration.pinned)}
    return JSONResponse(body, headers={"ETag": f'"{version.number}"', "Cache-Control": "no-store"})


def _configuration(here: Any) -> Configuration:
    return Configuration(here.store, here.settings.pinned)


def _expected(header: str | None) -> int | None:
    """The version that a change was made from; None: any."""
    if header is None:
        raise Problem(428, "send the ETag of GET /admin/config as If-Match, so that no other change is undone")
    if header.strip() == "*":
        return None
    found = ETAG.fullmatch(header.strip())
    if found is None:
        raise Problem(400, f'If-Match: {header!r} is no ETag of the settings; write "3", or *')
    return int(found[1])


def _problem(exc: ConfigError) -> Problem:
    lines = str(exc).splitlines()
    errors = [{"at": line.partition(":")[0], "message": line.partition(": ")[2]} for line in lines]
    return Problem(422, str(exc), errors=errors)
