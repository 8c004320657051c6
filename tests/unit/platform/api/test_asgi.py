"""The application answers every request, and keeps no connection of one that is answered before it has ended."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import Request

from foreshock.api import asgi
from foreshock.api.asgi import Api
from foreshock.api.errors import Problem
from foreshock.identity.tokens import token_digest
from foreshock.identity.verification import Verifier

TOKEN = "a-token-for-the-tests"


def api() -> Api:
    app = Api(lambda: Verifier(token_digest(TOKEN)))

    async def quick(scope: Any, receive: Any) -> tuple[bytes, bytes]:
        while (await receive()).get("more_body", False):
            pass
        return b"{}", b"application/json"

    async def refused(scope: Any, receive: Any) -> tuple[bytes, bytes]:
        raise Problem(413, "too large")

    async def broken(scope: Any, receive: Any) -> tuple[bytes, bytes]:
        raise RuntimeError("unforeseen")

    app.short |= {
        path: ("scores:create", f) for path, f in {"/quick": quick, "/refused": refused, "/broken": broken}.items()
    }

    @app.post("/read")
    async def read(request: Request) -> int:
        return len(await request.body())

    @app.post("/unread")
    async def unread() -> int:
        return 0

    return app


def ask(path: str, *headers: tuple[bytes, bytes]) -> tuple[int, dict[bytes, bytes], bytes]:
    sent: list[Any] = []
    parts = [b"a", b"b", b""] if headers else [b""]
    known = [] if path == "/closed" else [(b"authorization", f"Bearer {TOKEN}".encode())]
    scope = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "headers": [*headers, *known],
        "query_string": b"", "root_path": "", "server": ("localhost", 80), "scheme": "http", "http_version": "1.1",
    }  # fmt: skip

    async def receive() -> Any:
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(part)}

    async def send(message: Any) -> None:
        sent.append(message)

    try:
        asyncio.run(api()(scope, receive, send))
    except RuntimeError as exc:
        assert str(exc) == "unforeseen"
    start, *body = sent
    assert [part.get("more_body", False) for part in body] == [True] * (len(body) - 1) + [False]
    assert not parts or not headers, "the client could not send its body to the end"
    return start["status"], dict(start["headers"]), b"".join(part["body"] for part in body)


WITH_BODY = [(b"content-length", b"2"), (b"transfer-encoding", b"chunked")]


@pytest.mark.parametrize("header", WITH_BODY)
@pytest.mark.parametrize(
    ("path", "status"), [("/closed", 401), ("/refused", 413), ("/unread", 200), ("/nothing", 404), ("/broken", 500)]
)
def test_an_answer_before_the_end_of_the_body_ends_the_connection(
    header: tuple[bytes, bytes], path: str, status: int
) -> None:
    found, headers, body = ask(path, header)
    assert (found, headers.get(b"connection")) == (status, b"close")
    if status not in (200, 404):  # the latter is answered by routes of the ingress
        assert headers[b"content-type"] == b"application/problem+json"
        assert b'"status":%d' % status in body


@pytest.mark.parametrize("path", ["/quick", "/read"])
def test_a_request_that_was_read_to_its_end_keeps_its_connection(path: str) -> None:
    for header in WITH_BODY:
        status, headers, _ = ask(path, header)
        assert (status, headers.get(b"connection")) == (200, None)


@pytest.mark.parametrize("path", ["/closed", "/unread", "/nothing"])
def test_a_request_without_a_body_keeps_its_connection(path: str) -> None:
    assert b"connection" not in ask(path)[1]


def test_a_client_that_never_ends_its_body_is_waited_for_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi, "LINGER", 0.1)
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/closed", "headers": [WITH_BODY[1]], "query_string": b""}
    asyncio.run(asyncio.wait_for(api()(scope, receive, send), 5))
    assert sent[0]["status"] == 401
    assert not sent[-1].get("more_body", False)
