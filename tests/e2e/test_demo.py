"""The demo as a user runs it, small."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from tests.servers.servers import free_port

from foreshock_pipelines.registry import Registry

pytestmark = [pytest.mark.ray, pytest.mark.slow]
SMALL = ("--hosts", "4", "--days", "1.5", "--hours", "1", "--incidents", "2")


def start(home: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "foreshock", "demo", *SMALL, "--port", str(free_port()), *words]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env={**os.environ, "FORESHOCK_HOME": str(home), "COLUMNS": "160"},
    )  # fmt: skip


def left_over(home: Path) -> list[psutil.Process]:
    """Processes that were started with that home."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("FORESHOCK_HOME") == str(home):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def test_ctrl_c_stops_the_demo_while_it_trains_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    with start(tmp_path) as process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if "rows x" in line:
                break
        time.sleep(1)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
        rest, _ = process.communicate(timeout=100)
    assert process.returncode == 130, said + rest
    assert "Traceback" not in rest, rest
    registry = Registry(tmp_path / "demo" / "models")
    for model in registry.models("demo"):
        registry.load("demo", model.version)
    assert not psutil.wait_procs(left_over(tmp_path), timeout=20)[1]
