"""Compile kernels in a process of its own, beside what a command does meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from foreshock.logs import get_logger
from foreshock_models.precompile import compiled_before

__all__ = ["Compiling", "compiling"]

log = get_logger("compiling")


class Compiling:
    """Compiling under way, or None to wait for."""

    def __init__(self, process: subprocess.Popen[str] | None) -> None:
        self._process = process

    def wait(self, steps: Callable[[str, int, int], None]) -> None:
        """Wait until everything is compiled, with progress; what could not be is compiled when it is first used."""
        process = self._process
        if process is None or process.stdout is None:
            return
        for line in process.stdout:
            done, _, total = line.partition(" ")
            steps("compiling, once for this machine", int(done), int(total))
        if process.wait() != 0:
            log.warning("kernels could not be compiled ahead; they are when they are first used")
        self._process = None


@contextmanager
def compiling() -> Iterator[Compiling]:
    """Begin to compile, unless that was done before; ended with the block."""
    process = None
    if not compiled_before():
        process = subprocess.Popen(
            [sys.executable, "-m", "foreshock_models.precompile"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},  # numba compiles in one thread
        )  # fmt: skip
    try:
        yield Compiling(process)
    finally:
        if process is not None:
            process.kill()
            process.communicate()
