"""The whole application in this process, on a real store, without Ray around it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from foreshock.api.app import Ingress
from foreshock.identity.people import People
from foreshock.identity.tokens import Tokens, token_digest
from foreshock.settings import load_settings
from foreshock.store import open_store

TOKEN = "the-installation's-own-token"


@dataclass
class Answer:
    status: int
    headers: dict[bytes, bytes]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Application:
    """Asks the application; one event loop for all requests, as in a replica."""

    def __init__(self, app: Any, ingress: Ingress) -> None:
        self.app = app
        self.ingress = ingress
        self.store = ingress.store
        self.sessions = ingress.identity.sessions
        self.people = People(self.store)
        self.tokens = Tokens(self.store)
        self.loop = asyncio.new_event_loop()

    def ask(self, method: str, path: str, token: str | None = TOKEN, body: Any = None, headers: Any = ()) -> Answer:
        return self.loop.run_until_complete(self._ask(method, path, token, body, headers))

    async def _ask(self, method: str, path: str, token: str | None, body: Any, headers: Any) -> Answer:
        data = b"" if body is None else json.dumps(body).encode()
        more = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(data))] if data else []
        known = [] if token is None else [(b"authorization", f"Bearer {token}".encode())]
        path, _, query = path.partition("?")
        scope = {
            "type": "http", "method": method, "path": path, "raw_path": path.encode(),
            "query_string": query.encode(), "headers": [*known, *more, *headers], "root_path": "",
            "server": ("localhost", 80), "scheme": "http", "http_version": "1.1", "client": ("10.1.2.3", 40000),
        }  # fmt: skip
        sent: list[Any] = []

        parts = [{"type": "http.request", "body": data, "more_body": False}]

        async def receive() -> Any:
            if parts:
                return parts.pop()
            while not sent:  # a stream: it has begun, and that is all that is asked of it
                await asyncio.sleep(0.001)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        return Answer(sent[0]["status"], dict(sent[0]["headers"]), b"".join(m.get("body", b"") for m in sent[1:]))


@pytest.fixture
def application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Application]:
    from foreshock.api import routes

    wide = {"limit_failures": "1000000 per second", "limit_person": "1000000 per second"}
    settings = load_settings(home=tmp_path, **wide)
    open_store(settings.store).close()  # as `foreshock serve` does before the ingress starts
    ingress = Ingress(None, None, token_digest(TOKEN), settings, {}, {})
    monkeypatch.setattr(routes, "_backend", lambda: ingress)
    made = Application(routes.api(), ingress)
    yield made
    made.loop.run_until_complete(made.loop.shutdown_default_executor())
    made.loop.close()
    ingress.store.close()
