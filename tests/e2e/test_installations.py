"""Two installations on one host, as they run: who listens where, whom a request reaches, what a kill leaves."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from tests.servers import servers

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@dataclass
class Installation:
    """One that runs."""

    pid: int
    port: int
    token: str

    def processes(self) -> list[psutil.Process]:
        return [psutil.Process(self.pid), *psutil.Process(self.pid).children(recursive=True)]

    def listens(self) -> set[tuple[str, int]]:
        """Address and port of every socket that any of its processes listens on."""
        found = set()
        for process in self.processes():
            with suppress(psutil.Error):
                for c in process.net_connections("inet"):
                    if c.status == psutil.CONN_LISTEN:
                        found.add((c.laddr.ip.removeprefix("::ffff:"), c.laddr.port))
        return found

    def status(self, port: int, token: str) -> int | str:
        try:
            return httpx.get(
                f"http://127.0.0.1:{port}/ai/models", headers={"Authorization": f"Bearer {token}"}, timeout=10
            ).status_code
        except httpx.HTTPError as exc:
            return type(exc).__name__


@pytest.fixture(scope="module")
def two(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Installation, Installation]]:
    """Two installations, one with the environment of somebody who has opened Ray to everybody."""
    careless = {
        "RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": "known", "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": "8500",
        "RAY_NAMESPACE": "elsewhere", "RAY_SERVE_HAPROXY_STATS_PORT": "8404",
    }  # fmt: skip
    found = []
    with ExitStack() as stack:
        for command, more in (("up", careless), ("serve", {})):
            home, port = tmp_path_factory.mktemp(command), servers.free_port()
            environment = {
                "FORESHOCK_HOME": str(home), "FORESHOCK_PORT": str(port), "RAY_ADDRESS": "",
                "FORESHOCK_REGISTRY_URI": str(trained.registry), **more,
            }  # fmt: skip
            words = [sys.executable, "-m", "foreshock", command, "-c", str(trained.file)]
            url = f"http://127.0.0.1:{port}/healthz"
            pid = stack.enter_context(servers.running(words, home / "log", url, environment, patience=200))
            found.append(Installation(pid, port, (home / "api-token").read_text()))
        yield found[0], found[1]


def test_all_of_it_listens_on_loopback_and_no_port_is_shared(two: tuple[Installation, Installation]) -> None:
    _one, _other = two
    ports = []
    for installation in two:
        listens = installation.listens()
        assert {address for address, _ in listens} == {"127.0.0.1"}, listens
        assert ("127.0.0.1", installation.port) in listens
        ports.append({port for _, port in listens})
    assert not ports[0] & ports[1]


def test_the_doctor_lists_the_open_ports_of_the_installation_that_runs(
    two: tuple[Installation, Installation],
) -> None:
    from foreshock.doctor.listeners import listeners

    one, other = two
    found = listeners(one.port)
    assert {(f.address, f.port) for f in found} >= {("127.0.0.1", one.port)} and len(found) > 10
    assert all(f.local for f in found)
    assert not {f.port for f in found} & {f.port for f in listeners(other.port)}


def test_a_token_reaches_its_own_installation_alone(two: tuple[Installation, Installation]) -> None:
    for mine, other in (two, two[::-1]):
        assert {mine.status(mine.port, mine.token) for _ in range(20)} == {200}
        assert {mine.status(mine.port, other.token) for _ in range(20)} == {401}
        for _, port in mine.listens():
            if port in range(20_000, 30_000):  # replicas and the fallback check for their own token, too
                assert mine.status(port, other.token) != 200, port


def test_ray_is_not_joined_without_its_token(two: tuple[Installation, Installation]) -> None:
    import subprocess

    raylet = next(p for p in two[0].processes() if p.name() == "raylet")
    option = next(word for word in raylet.cmdline() if word.startswith("--gcs-address="))
    address = option.partition("=")[2]
    code = (
        "import ray\nfrom ray._private import ray_constants\nray_constants.ENABLE_RAY_CLUSTER = False\n"
        f"ray.init({address!r}, log_to_driver=False)\nprint('joined')"
    )
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "known"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=100
    )
    assert "joined" not in done.stdout and "AuthenticationError" in done.stderr


def test_a_second_start_on_the_same_port_is_one_message(
    two: tuple[Installation, Installation], trained: Any, tmp_path: Path
) -> None:
    import subprocess

    done = subprocess.run(
        [sys.executable, "-m", "foreshock", "serve", "-c", trained.file, "--port", str(two[1].port)],
        env={**os.environ, "FORESHOCK_HOME": str(tmp_path), "RAY_ADDRESS": ""}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith(f"error: port {two[1].port} is taken")


def test_after_a_kill_nothing_of_it_is_left_and_the_other_goes_on(two: tuple[Installation, Installation]) -> None:
    killed, other = two
    processes = killed.processes()
    assert any(p.name() == "haproxy" for p in processes) and len(processes) > 10
    os.kill(killed.pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while left := [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]:
        assert time.monotonic() < deadline, left
        time.sleep(0.2)
    assert killed.status(killed.port, killed.token) == "ConnectError"
    assert other.status(other.port, other.token) == 200
