"""Errors as problem+json (RFC 9457): what was wrong, what was allowed."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from foreshock_models.errors import (
    AccessError,
    ConfigError,
    DataError,
    ForeshockError,
    RegistryError,
    SourceUnavailable,
    StateError,
    StoreError,
    VaultError,
)  # fmt: skip

__all__ = ["INTERNAL", "Problem", "problem_of", "problem_response"]

TYPE = "application/problem+json"
LONGEST = 2000
"""Letters of a text: it may quote what was sent."""


class Problem(Exception):
    """Ends a request with this status and text."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: list[dict[str, Any]] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.headers = headers or {}
        self.status = status
        self.detail = detail
        self.errors = errors

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.status, self.detail, self.errors, self.headers)


INTERNAL = Problem(500, "an error of Foreshock's own; the log of the HTTP API has its traceback")


def _again(
    status: int, detail: str, errors: list[dict[str, Any]] | None, headers: dict[str, str] | None = None
) -> Problem:
    return Problem(status, detail, errors=errors, headers=headers)


def problem_of(exc: Exception) -> Problem:
    """The problem that an error of Foreshock's is to a client."""
    if isinstance(exc, Problem):
        return exc
    if isinstance(exc, AccessError):
        return Problem(401, str(exc))
    if isinstance(exc, RegistryError):
        return Problem(404, str(exc))
    if isinstance(exc, StateError):
        return Problem(409, str(exc))
    if isinstance(exc, StoreError):
        return Problem(404 if str(exc).startswith("no ") else 503, str(exc))
    if isinstance(exc, DataError | ConfigError):
        return Problem(422, str(exc))
    if isinstance(exc, SourceUnavailable | VaultError):
        return Problem(503, str(exc))
    if isinstance(exc, ForeshockError):
        return Problem(500, str(exc))
    raise exc


def problem_response(request: Request, problem: Problem) -> Response:
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": _short(problem.detail),
        "instance": request.url.path,
    }
    if problem.errors:
        body["errors"] = [{key: _short(text) for key, text in error.items()} for error in problem.errors]
    headers = {"WWW-Authenticate": 'Bearer realm="foreshock"'} if problem.status == 401 else problem.headers
    return Response(orjson.dumps(body), problem.status, headers, TYPE)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."
