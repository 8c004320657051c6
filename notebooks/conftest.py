"""`pytest` runs the notebooks too, by nbmake: each from top to bottom in a fresh kernel, on the made-up fleet."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Kernels inherit the environment: no cluster or server of whoever runs this, and a port that is free."""
    with pytest.MonkeyPatch.context() as patch, socket.socket() as s:
        for name in ("PROMETHEUS_URL", "RAY_ADDRESS", "FORESHOCK_URL"):
            patch.delenv(name, raising=False)
        s.bind(("127.0.0.1", 0))
        patch.setenv("FORESHOCK_PORT", str(s.getsockname()[1]))
        s.close()
        return (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.suffix == ".ipynb":
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(600))
