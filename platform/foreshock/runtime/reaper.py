"""Stop started processes with their starter, even when it is killed."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from foreshock.runtime import _reaper

__all__ = ["guarded"]

MARK = "FORESHOCK_RUN"


@contextmanager
def guarded(folder: Path, sessions: Path) -> Iterator[dict[str, str]]:
    """Have all that is started in the block killed, and `folder` removed, if this process is killed.

    Gives the variables that what is started must have in its environment.

    Parameters
    ----------
    sessions
        Where Ray, started in the block, makes its session.
    """
    mark = secrets.token_hex(8)
    words = [_reaper.__file__, f"{MARK}={mark}", str(folder), str(sessions), str(os.getpid())]
    guard = subprocess.Popen(
        [sys.executable, "-I", "-S", *words],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True, cwd="/", text=True,  # Ctrl-C in a terminal is not meant for it
    )  # fmt: skip
    try:
        yield {MARK: mark}
    finally:
        with suppress(BrokenPipeError):  # it was killed, too
            guard.communicate(_reaper.DONE, timeout=10)
