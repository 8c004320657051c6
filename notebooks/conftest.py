"""`pytest` runs the notebooks too, by nbmake: each from top to bottom in a fresh kernel, on the made-up fleet."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Kernels inherit the environment: no cluster or server of whoever runs this, and ports and folders of its own.

    The folder of Ray must be short: sockets are in it.
    """
    if item.path.suffix != ".ipynb":  # pytest asks this hook of every folder about every test
        return (yield)
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory(prefix="nb", dir="/tmp", ignore_cleanup_errors=True) as folder,
    ):
        for name in ("PROMETHEUS_URL", "RAY_ADDRESS", "FORESHOCK_URL"):
            patch.delenv(name, raising=False)
        patch.setenv("RAY_TMPDIR", folder)
        for name in ("CONFIG_FILE_LOC", "SOCKET_PATH", "SERVER_STATE_BASE", "SERVER_STATE_FILE"):
            patch.setenv(
                f"RAY_SERVE_HAPROXY_{name}", folder if name.endswith("BASE") else f"{folder}/{name.lower()}"
            )
        for name in ("FORESHOCK_PORT", "RAY_SERVE_HAPROXY_METRICS_PORT", "RAY_SERVE_HAPROXY_STATS_PORT"):
            patch.setenv(name, str(free_port()))
        return (yield)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.suffix == ".ipynb":
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(600))
