"""Requests whose client Ray Serve need not watch.

For each request, Serve starts a task that waits for the client to go away, and another one for the answer, which it
can then cancel. A score is there before anybody has gone: to compute it for nobody costs less than to watch.
"""

from __future__ import annotations

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["SCORE", "WithoutDisconnectWatch", "middlewares"]

SCORE = "/ai/score"
SAYS_SO = (b"x-request-disconnect-disabled", b"?1")
"""The header that Serve looks for."""


class WithoutDisconnectWatch:
    """Says of each request for scores, on its way to Serve, that its client need not be watched."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path") == SCORE:
            scope["headers"].append(SAYS_SO)
        await self.app(scope, receive, send)


def middlewares() -> list[Middleware]:
    """Middleware that Serve puts in front of its own (``RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH``)."""
    return [Middleware(WithoutDisconnectWatch)]
