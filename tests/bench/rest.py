"""Row 10: ``foreshock demo``, from its start to the first alert; what it takes afterwards, when nothing happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.harness import Row, Size, seconds
from tests.bench.processes import Usage, family, usage
from tests.servers.servers import free_port

__all__ = ["rows"]

SETTLE = 30.0
"""Seconds after the replay that are not looked at: processes end, caches go."""
WATCHED = 45.0
PATIENCE = 300.0


def rows(size: Size) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="foreshock-bench-") as name:
        log = Path(name) / "demo.log"
        command = [str(Path(sys.executable).with_name("foreshock")), "demo", "--port", str(free_port())]
        env = {**os.environ, "FORESHOCK_HOME": name, "COLUMNS": "200"}
        with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=out, env=env) as demo:
            try:
                _wait_for("It goes on running", log, demo)
                first = next(line.split()[2] for line in log.read_text().splitlines() if "first alert" in line)
                time.sleep(SETTLE * size.share)
                before, began = usage(demo.pid), time.perf_counter()
                time.sleep(WATCHED * size.share)
                after, span = usage(demo.pid), time.perf_counter() - began
            finally:
                _stop(demo)
    yield Row(
        "foreshock demo, start to first alert", seconds(float(first)), "limit 90 s", float(first) / 90, "< 90 s",
        float(first) < 90, {"first_alert_s": float(first)},
    )  # fmt: skip
    yield from _rest(before, after, span)


def _rest(before: Usage, after: Usage, span: float) -> Iterator[Row]:
    by_name = {
        name: {"cpu": (after.cpu_by_name[name] - before.cpu_by_name.get(name, 0.0)) / span, "bytes": memory}
        for name, memory in after.by_name.items()
    }
    share = sum(each["cpu"] for each in by_name.values())  # not of all: what ends meanwhile takes its past along
    yield Row(
        "the platform at rest: share of a core", f"{share:.1%}", "limit 5%", share / 0.05, "< 5%", share < 0.05,
        {"processes": by_name},
    )  # fmt: skip
    gigabytes = after.memory / 1e9
    yield Row(
        "the platform at rest: memory of all processes", f"{gigabytes:.2f} GB", "limit 2.5 GB", gigabytes / 2.5,
        "< 2.5 GB", gigabytes < 2.5,
    )  # fmt: skip


def _wait_for(text: str, log: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while text not in log.read_text():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the demo did not come up:\n{log.read_text()[-2000:]}")
        time.sleep(0.2)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """As Ctrl-C does; whatever is left after that is ended."""
    started = family(process.pid)
    process.send_signal(signal.SIGINT)
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        for each in started:
            if each.is_running():
                each.kill()
