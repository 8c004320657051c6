"""Which requests Ray Serve need not watch, as Serve itself reads it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from ray.serve._private.http_util import parse_disconnect_disabled_header, validate_http_proxy_callback_return
from starlette.types import Receive, Scope, Send

from foreshock.api.fast_path.disconnects import SCORE, middlewares


@pytest.mark.parametrize(("path", "unwatched"), [(SCORE, True), ("/ai/explain", False), ("/noop/", False)])
def test_serve_watches_the_clients_of_all_but_scores(path: str, unwatched: bool) -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    async def nothing(*_: Any) -> Any: ...

    (one,) = validate_http_proxy_callback_return(middlewares())
    scope = {"type": "http", "path": path, "headers": [(b"x-request-disconnect-disabled", b"?0")]}
    asyncio.run(one.cls(app)(scope, nothing, nothing))
    assert parse_disconnect_disabled_header(dict(seen[0]["headers"])) is unwatched
