"""Processes that are in the middle of something: those that tests kill."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psutil

__all__ = ["busy"]

PATIENCE = 100.0


def busy(title: str, seconds: float) -> Iterator[psutil.Process]:
    """Processes started by this one that have computed for so long since they got that title, as they are seen."""
    began: dict[int, float] = {}
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for process in psutil.Process().children(recursive=True):
            try:
                if not process.cmdline() or title not in process.cmdline()[0]:
                    continue
                used = sum(process.cpu_times()[:2])
            except psutil.NoSuchProcess:
                continue
            if used - began.setdefault(process.pid, used) >= seconds:
                yield process
        time.sleep(0.02)
    raise AssertionError(f"no process {title!r} for {PATIENCE:.0f} s")
