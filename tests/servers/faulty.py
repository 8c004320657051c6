"""A server that goes wrong on purpose."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest

EMPTY = b'{"status":"success","data":{"resultType":"matrix","result":[]}}'


@dataclass(frozen=True)
class Reply:
    """One answer; `act`, if given, writes it by hand."""

    status: int = 200
    body: bytes = EMPTY
    headers: dict[str, str] = field(default_factory=dict)
    act: Callable[[BaseHTTPRequestHandler], None] | None = None


@dataclass
class Faulty:
    """Gives its replies in turn, the last one again and again; keeps what it was asked."""

    replies: list[Reply]
    url: str = ""
    methods: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)
    forms: list[dict[str, list[str]]] = field(default_factory=list)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0)).decode(errors="replace")
        self.methods.append(handler.command)
        self.paths.append(handler.path)
        self.bodies.append(body)
        self.headers.append(dict(handler.headers))
        self.forms.append(parse_qs(body or handler.path.partition("?")[2]))
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if reply.act is not None:
            reply.act(handler)
            return
        handler.send_response(reply.status)
        for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(reply.body)


@pytest.fixture
def faulty() -> Iterator[Callable[..., Faulty]]:
    """Start a server with these replies."""
    servers = []

    def start(*replies: Reply) -> Faulty:
        state = Faulty(list(replies) or [Reply()])

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                state.answer(self)

            do_POST = do_GET

            def log_message(self, *args: Any) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        state.url = f"http://127.0.0.1:{server.server_port}"
        return state

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
