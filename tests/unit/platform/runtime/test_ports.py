"""The ports of an installation."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
from tests.servers.servers import free_port

from foreshock.runtime import ports
from foreshock.runtime.ports import is_free, reserved_ports
from foreshock_models.errors import InstallationError


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "PATIENCE", 0.3)


def every(found: ports.Ports) -> set[int]:
    fixed = {found.api, found.metrics, found.statistics, found.fallback, found.fallback_grpc}
    return fixed | set(found.replicas)


def test_two_installations_have_no_port_in_common_even_where_their_api_ports_are_neighbours() -> None:
    port = free_port()
    with (
        reserved_ports("127.0.0.1", port, 1) as one,
        reserved_ports("127.0.0.1", port + 100 if is_free("127.0.0.1", port + 100) else port + 200, 1) as other,
    ):
        assert not every(one) & every(other)


def test_a_port_that_somebody_listens_on_is_one_message_that_names_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(InstallationError, match=f"^port {port} is taken on 127.0.0.1: .*FORESHOCK_PORT"),
            reserved_ports("127.0.0.1", port, 1),
        ):
            pass


def test_a_port_that_is_shared_by_so_reuseport_counts_as_taken() -> None:
    with socket.socket() as proxy:
        proxy.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        proxy.bind(("127.0.0.1", 0))
        proxy.listen()
        assert not is_free("127.0.0.1", proxy.getsockname()[1])


def test_two_installations_that_start_at_once_do_not_both_get_a_port() -> None:
    port = free_port()
    with (
        reserved_ports("127.0.0.1", port, 1),  # nobody listens on it yet
        pytest.raises(InstallationError, match=f"port {port} is taken"),
        reserved_ports("127.0.0.1", port, 1),
    ):
        pass


def test_an_address_of_another_machine_is_told_with_the_setting() -> None:
    with (
        pytest.raises(InstallationError, match=r"cannot listen on 203\.0\.113\.7:.*FORESHOCK_HOST"),
        reserved_ports("203.0.113.7", free_port(), 1),
    ):
        pass


def test_the_ports_of_a_process_that_was_killed_are_free() -> None:
    port = free_port()
    code = (
        "import os, signal\nfrom foreshock.runtime.ports import reserved_ports\n"
        f"with reserved_ports('127.0.0.1', {port}, 1) as found:\n"
        "    print(found.replicas.start, flush=True)\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    with reserved_ports("127.0.0.1", port, 1) as found:
        assert found.replicas.start == int(killed.stdout)


def test_a_thousand_replicas_have_a_port_each() -> None:
    with reserved_ports("127.0.0.1", free_port(), 1000) as found:
        assert len(found.replicas) >= 2000
