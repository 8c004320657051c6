"""`pytest` runs the notebooks too, by nbmake: each from top to bottom in a fresh kernel, on the made-up fleet."""

from __future__ import annotations

import os
import socket

import pytest


def _free_port() -> str:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return str(s.getsockname()[1])


def pytest_configure() -> None:
    for name in ("PROMETHEUS_URL", "RAY_ADDRESS", "FORESHOCK_URL"):
        os.environ.pop(name, None)
    os.environ.setdefault("FORESHOCK_PORT", _free_port())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.suffix == ".ipynb":
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(600))
