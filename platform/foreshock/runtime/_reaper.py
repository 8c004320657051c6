"""End what a process has left behind when it was killed: a program of its own, started by `guard`.

It reads its standard input, which ends with the process that it guards, however that ends. Ray's processes notice
the death of their parent sooner or later; some wait for a minute, and HAProxy may go on listening. Only the
standard library is imported, for it runs as long as the installation does.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import sys
import time

DONE = "done"
GRACE, LIMIT = 1.0, 20.0


def main() -> None:
    """Wait for the end; unless it was orderly, kill whoever holds a mark, and remove the folder."""
    variable, folder, sessions, pid = sys.argv[1:]
    if sys.stdin.read().strip().endswith(DONE):
        return
    session = re.compile(rf"{re.escape(sessions)}/session_[^/]*_{pid}/")
    time.sleep(GRACE)  # most of them end by themselves
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        left = [other for other in _others() if _belongs(other, variable.encode(), session)]
        if not left:
            break
        for other in left:
            _kill(other)
        time.sleep(0.2)
    shutil.rmtree(folder, ignore_errors=True)


def _others() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def _belongs(pid: int, variable: bytes, session: re.Pattern[str]) -> bool:
    """Check whether a process has the variable in its environment, or a file of Ray's session open.

    Workers write their title over their environment; their output goes into the session's folder.
    """
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            if variable in file.read().split(b"\0"):
                return True
        for name in os.listdir(f"/proc/{pid}/fd"):
            if session.match(os.readlink(f"/proc/{pid}/fd/{name}")):
                return True
    except OSError:  # it has ended, or is somebody else's
        pass
    return False


def _kill(pid: int) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
