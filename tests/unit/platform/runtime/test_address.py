"""The address of a Ray cluster that runs elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from tests.servers.servers import free_port

from foreshock.runtime import address
from foreshock.runtime.address import check_address, cluster_address
from foreshock.settings import load_settings
from foreshock_models.errors import InstallationError


@pytest.fixture
def web_server() -> Iterator[int]:
    """Something that listens and is not Ray."""
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_dead_address_is_one_message_that_names_the_variable() -> None:
    with pytest.raises(InstallationError, match=r"^RAY_ADDRESS: no Ray cluster answers at 127\.0\.0\.1:"):
        check_address(f"127.0.0.1:{free_port()}", "RAY_ADDRESS")


def test_what_is_not_ray_is_told_apart(web_server: int) -> None:
    with pytest.raises(InstallationError, match="is not a Ray cluster"):
        check_address(f"127.0.0.1:{web_server}", "RAY_ADDRESS")


def test_who_accepts_and_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "PATIENCE", 0.2)
    import socket

    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        with pytest.raises(InstallationError, match="RAY_ADDRESS: no Ray cluster answers"):
            check_address(f"127.0.0.1:{mute.getsockname()[1]}", "RAY_ADDRESS")


@pytest.mark.parametrize("value", ["http://head:8265", "head", "head:port", "head:99999", ":6379", "ray://"])
def test_what_is_no_address_of_a_cluster_says_what_is(value: str) -> None:
    with pytest.raises(InstallationError, match=r"FORESHOCK_RAY_ADDRESS: .*allowed: HOST:PORT"):
        check_address(value, "FORESHOCK_RAY_ADDRESS")


def test_the_setting_wins_over_rays_variable_and_local_means_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "a:1")
    assert cluster_address(load_settings(ray_address="b:2")) == ("b:2", "FORESHOCK_RAY_ADDRESS")
    assert cluster_address(load_settings()) == ("a:1", "RAY_ADDRESS")
    monkeypatch.setenv("RAY_ADDRESS", "local")
    assert cluster_address(load_settings()) is None


def test_auto_without_a_cluster_on_this_machine_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    with pytest.raises(InstallationError, match=r"RAY_ADDRESS: no Ray cluster (runs on this|answers)"):
        check_address("auto", "RAY_ADDRESS")
