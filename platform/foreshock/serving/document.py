"""FastAPI with a guard, a short way for what must be quick, and a document that says all of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from foreshock.serving.auth import OPEN_PATHS
from foreshock.serving.problems import Problem, problem_of, problem_response
from foreshock_models.errors import ForeshockError

__all__ = ["Api"]

Endpoint = Callable[[Request], Awaitable[Response]]


class Api(FastAPI):
    """The application of an ingress.

    Parameters
    ----------
    admits
        Whether a path may be asked for with such an ``Authorization`` header.

    Attributes
    ----------
    short : path to the endpoint that a POST goes to past FastAPI, whose layers cost as much as scoring a window
    """

    def __init__(self, admits: Callable[[str, str | None], bool], **more: Any) -> None:
        super().__init__(**more)
        self.admits = admits
        self.short: dict[str, Endpoint] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await super().__call__(scope, receive, send)
        request = Request(scope, receive)
        if not self.admits(scope["path"], Headers(scope=scope).get("authorization")):
            problem = Problem(401, "send 'Authorization: Bearer TOKEN' with the API token")
            return await problem_response(request, problem)(scope, receive, send)
        endpoint = self.short.get(scope["path"]) if scope["method"] == "POST" else None
        if endpoint is None:
            return await super().__call__(scope, receive, send)
        try:
            response = await endpoint(request)
        except (Problem, ForeshockError) as exc:
            response = problem_response(request, problem_of(exc))
        await response(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            document = super().openapi()
            components = document.setdefault("components", {})
            components["schemas"] = _referred(document) | components.get("schemas", {})
            components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            document["security"] = [{"token": []}]
            for path in OPEN_PATHS & document["paths"].keys():
                for operation in document["paths"][path].values():
                    operation["security"] = []
            self.openapi_schema = document
        return self.openapi_schema


def _referred(document: dict[str, Any]) -> dict[str, Any]:
    """Take the ``$defs`` out of the schemas of bodies: in OpenAPI they have one common place."""
    found: dict[str, Any] = {}
    for operations in document["paths"].values():
        for operation in operations.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                found |= content["schema"].pop("$defs", {})
    return found
