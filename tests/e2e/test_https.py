"""An installation that speaks HTTPS, as it runs: clients, a new certificate, kills."""

from __future__ import annotations

import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from tests.fixtures.certificates import Authority
from tests.servers import servers
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@dataclass
class Installation:
    pid: int
    port: int
    token: str
    log: Path
    authority: Authority
    files: tuple[Path, Path]
    environment: dict[str, str]

    def client(self, timeout: float = 10) -> httpx.Client:
        context = ssl.create_default_context(cafile=str(self.authority.file))
        return httpx.Client(
            base_url=f"https://127.0.0.1:{self.port}", verify=context, timeout=timeout, trust_env=False,
            headers={"Authorization": f"Bearer {self.token}"},
        )  # fmt: skip

    def processes(self) -> list[psutil.Process]:
        return [psutil.Process(self.pid), *psutil.Process(self.pid).children(recursive=True)]


@pytest.fixture(scope="module")
def https(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    home, port = tmp_path_factory.mktemp("https"), servers.free_port()
    authority = Authority.made(home)
    files = home / "served.pem", home / "served.key"
    authority.issue("first", into=files)
    environment = {
        "FORESHOCK_HOME": str(home), "FORESHOCK_PORT": str(port), "FORESHOCK_HOST": "0.0.0.0", "RAY_ADDRESS": "",
        "FORESHOCK_REGISTRY_URI": str(trained.registry), "FORESHOCK_TLS_CERTIFICATE": str(files[0]),
        "FORESHOCK_TLS_KEY": str(files[1]), "FORESHOCK_LIMIT_FAILURES": "3 per hour",
    }  # fmt: skip
    words = [sys.executable, "-m", "foreshock", "up", "-c", str(trained.file)]
    context = ssl.create_default_context(cafile=str(authority.file))
    with (
        httpx.Client(verify=context, trust_env=False) as client,
        servers.running(
            words, home / "log", f"https://127.0.0.1:{port}/healthz", environment, client=client, patience=200
        ) as pid,
    ):
        token = (home / "api-token").read_text()
        yield Installation(pid, port, token, home / "log", authority, files, environment)


def test_the_api_is_served_over_tls_1_3_alone(https: Installation) -> None:
    with https.client() as client:
        answer = client.get("/ai/models")
        assert answer.status_code == 200 and answer.json()
        assert answer.headers["strict-transport-security"].startswith("max-age=")
        stream: Any = client.get("/healthz").extensions["network_stream"]
        assert stream.get_extra_info("ssl_object").version() == "TLSv1.3"
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"http://127.0.0.1:{https.port}/healthz", timeout=5)


def test_a_websocket_over_tls_is_answered(https: Installation) -> None:
    context = ssl.create_default_context(cafile=str(https.authority.file))
    with connect(f"wss://127.0.0.1:{https.port}/ws/notifications", ssl=context) as client:
        client.send(json.dumps({"token": https.token, "types": ["weather"]}))
        with pytest.raises(ConnectionClosedError, match="no type 'weather'; allowed: "):
            client.recv(10)


def test_metrics_say_when_the_certificate_ends(https: Installation) -> None:
    with https.client() as client:
        text = client.get("/metrics").text
    found = re.search(r"^foreshock_tls_certificate_expiry_timestamp_seconds (\S+)$", text, flags=re.M)
    assert found and 29 < (float(found[1]) - time.time()) / 86400 < 30
    assert "foreshock_tls_last_reload_successful 1.0" in text


def test_a_command_speaks_to_it_once_the_authority_is_named(https: Installation) -> None:
    words = [
        sys.executable,
        "-m",
        "foreshock",
        "login",
        "--name",
        "admin",
        "--url",
        f"https://127.0.0.1:{https.port}",
    ]

    def said(**more: str) -> str:
        done = subprocess.run(
            words, input="wrong-password\n", env={**os.environ, **https.environment, **more},
            capture_output=True, text=True, timeout=60, start_new_session=True,
        )  # fmt: skip
        assert done.returncode == 1
        return done.stderr

    assert "FORESHOCK_TLS_CA" in said()
    assert "/auth/login" in said(FORESHOCK_TLS_CA=str(https.authority.file))


def test_the_certificate_is_replaced_while_requests_go_on(https: Installation) -> None:
    stop, wrong, count = threading.Event(), [], [0]

    def ask() -> None:
        while not stop.is_set():
            try:
                with https.client() as client:  # a connection and a handshake for each
                    assert client.get("/healthz").status_code == 200
                    count[0] += 1
            except (httpx.HTTPError, AssertionError) as exc:
                wrong.append(repr(exc))

    thread = threading.Thread(target=ask)
    thread.start()
    for name in ("second", "third"):
        https.authority.issue(name, into=https.files)
        deadline = time.monotonic() + 10
        while subject(https) != name:
            assert time.monotonic() < deadline, https.log.read_text()[-2000:]
            time.sleep(0.2)
    stop.set()
    thread.join(20)
    assert wrong == [] and count[0] > 10


def subject(https: Installation) -> str:
    import socket

    context = ssl.create_default_context(cafile=str(https.authority.file))
    with (
        socket.create_connection(("127.0.0.1", https.port), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname="127.0.0.1") as connection,
    ):
        found: Any = connection.getpeercert()
        return str(found["subject"][0][0][1])


def test_an_address_that_sends_wrong_tokens_waits_behind_tls_too(https: Installation) -> None:
    """The address is the client's: another one, which lies about itself in headers, is not let off."""
    with https.client() as client:
        statuses = [
            client.get(
                "/ai/models",
                headers={"Authorization": f"Bearer fsk_wrong{n}", "X-Forwarded-For": f"203.0.113.{n}"},
            ).status_code
            for n in range(6)
        ]
        assert statuses[-1] == 429 and set(statuses) == {401, 429}
        assert client.get("/ai/models").status_code == 200


def test_every_process_takes_up_changed_settings_within_seconds(https: Installation) -> None:
    with https.client() as client:
        answer = client.put("/admin/config", json={"values": {"keep_runs": "20d"}}, headers={"If-Match": '"0"'})
        assert answer.status_code == 200, answer.text
    wanted = {"api", "scorer", "explainer", "alerts", "control loop", "scoring of small"}
    deadline = time.monotonic() + 10
    while missing := {
        name for name in wanted if not re.search(rf"new settings.*process='?{name}", https.log.read_text())
    }:
        assert time.monotonic() < deadline, missing
        time.sleep(0.2)


def test_a_proxy_that_is_killed_is_back_within_half_a_minute_with_the_newest_certificate(
    https: Installation,
) -> None:
    for process in https.processes():
        if process.name() == "haproxy":
            process.kill()
    deadline = time.monotonic() + 30
    while True:
        try:
            with https.client(timeout=2) as client:
                if client.get("/healthz").status_code == 200:
                    break
        except httpx.HTTPError:
            assert time.monotonic() < deadline
            time.sleep(0.2)
    assert subject(https) == "third"


def test_after_a_kill_nothing_listens_and_no_key_is_left(https: Installation) -> None:
    processes = https.processes()
    (folder,) = {
        Path(word).parent.parent
        for p in processes
        if p.name() == "haproxy"
        for word in p.cmdline()
        if word.endswith(".cfg")
    }
    assert (folder / "tls.pem").stat().st_mode & 0o077 == 0 and folder.stat().st_mode & 0o077 == 0
    os.kill(https.pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while left := [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]:
        assert time.monotonic() < deadline, left
        time.sleep(0.2)
    while folder.exists():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    with pytest.raises(httpx.ConnectError), https.client() as client:
        client.get("/healthz")
