"""Commands on a cluster elsewhere, through the Ray Jobs API."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.servers.servers import free_port

pytestmark = [pytest.mark.ray, pytest.mark.slow]
BIN = Path(sys.executable).parent


@pytest.fixture
def head() -> Iterator[str]:
    """Dashboard address of a Ray cluster of its own; socket paths must be short, so not under tmp_path."""
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as folder:
        port, dashboard, agent = free_port(), free_port(), free_port()
        command = [
            BIN / "ray", "start", "--head", "--block", f"--port={port}", f"--dashboard-port={dashboard}",
            # a fixed port by default: where another cluster has it, no job is ever taken
            f"--dashboard-agent-listen-port={agent}", f"--temp-dir={folder}", "--num-cpus=2",
            "--object-store-memory=200000000", "--include-dashboard=true",
        ]  # fmt: skip
        env = {
            **os.environ,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",  # as in an activated environment
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "disabled",
        }
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
        try:
            yield answering(f"http://127.0.0.1:{dashboard}")
        finally:
            stop_with_children(process)


def answering(address: str) -> str:
    """The same address, once its Jobs API answers."""
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        with suppress(urllib.error.URLError), urllib.request.urlopen(f"{address}/api/jobs/", timeout=5):
            return address
        time.sleep(0.5)
    raise AssertionError(f"no answer at {address}")


def stop_with_children(process: subprocess.Popen[bytes]) -> None:
    """Kill it and all that it started: asked politely, ``ray start --block`` may take minutes."""
    family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.kill()
    process.wait(30)
    psutil.wait_procs(family[:-1], timeout=30)


def submit(address: str, *words: str, home: Path, **env: str) -> subprocess.CompletedProcess[str]:
    command = [BIN / "foreshock", "submit", *words, "--address", address]
    given = {**os.environ, "FORESHOCK_HOME": str(home), "RAY_AUTH_MODE": "disabled", **env}
    return subprocess.run(command, capture_output=True, text=True, env=given, timeout=200)


def test_a_submitted_training_publishes_and_shows_its_log(head: str, trained: Any, tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    text = trained.file.read_text().replace("fleet.parquet", str(trained.file.parent / "fleet.parquet"))
    file.write_text(text)
    done = submit(
        head, "train", "-c", str(file), "--json", home=tmp_path, FORESHOCK_REGISTRY_URI=str(tmp_path / "models")
    )
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]
    assert '"version"' in done.stdout
    (version,) = [p.name for p in (tmp_path / "models" / "small").iterdir() if p.is_dir()]
    assert version in done.stdout
    aliases = json.loads((tmp_path / "models" / "small" / "aliases.json").read_text())["aliases"]
    assert aliases["champion"] == version


def test_a_cluster_that_is_not_there_is_named(trained: Any, tmp_path: Path) -> None:
    done = submit("http://127.0.0.1:1", "train", "-c", str(trained.file), home=tmp_path)
    assert done.returncode == 1
    assert "http://127.0.0.1:1: no Ray cluster answers there" in done.stderr
