"""Certificates that sign themselves, made with openssl, and a server that shows one."""

from __future__ import annotations

import contextlib
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest


def certificate(folder: Path, name: str, subject: str = "IP:127.0.0.1") -> None:
    """``NAME.pem``, a certificate for 127.0.0.1 (or another subject) that signs itself, and ``NAME.key``."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed (Debian: apt-get install openssl)")
    command = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem", "-days", "1000",
        "-subj", f"/CN={name}", "-addext", f"subjectAltName={subject}",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)


@contextlib.contextmanager
def https(folder: Path, name: str, client_ca: str | None = None) -> Iterator[str]:
    """URL of a server with that certificate, which answers ``{}`` to all; with `client_ca` it wants one too."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_POST = do_GET

        def log_message(self, *args: Any) -> None: ...

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *args: Any) -> None: ...

        def finish_request(self, request: Any, client_address: Any) -> None:
            with context.wrap_socket(request, server_side=True) as wrapped:  # here: a thread of its own
                super().finish_request(wrapped, client_address)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    if client_ca is not None:
        context.load_verify_locations(folder / f"{client_ca}.pem")
        context.verify_mode = ssl.CERT_REQUIRED
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
