"""All tests in two processes side by side: those on the shared Ray cluster, with the notebooks, and the rest.

Both wait much for what they start. Each has a folder for Ray of its own, so that none takes the other's cluster for
its own. Words of the command line (paths, ``-k`` ...) are for one pytest, as usual.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator

PYTEST = [sys.executable, "-m", "pytest"]


@contextlib.contextmanager
def environment() -> Iterator[dict[str, str]]:
    """That of one process; Ray's folder has a short name, because sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="fs-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield {**os.environ, "RAY_TMPDIR": folder}


def main(words: list[str]) -> int:
    """Exit code: 0 if all passed."""
    if words:
        return subprocess.run([*PYTEST, *words]).returncode
    with environment() as one, environment() as other, tempfile.TemporaryFile() as log:
        rest = subprocess.Popen([*PYTEST, "-m", "not shared"], stdout=log, stderr=subprocess.STDOUT, env=one)
        try:
            shared = subprocess.run([*PYTEST, "-m", "shared"], env=other).returncode
            alone = rest.wait()
        finally:
            if rest.poll() is None:
                rest.terminate()
                rest.wait()
            log.seek(0)
            sys.stdout.flush()
            sys.stdout.buffer.write(log.read())
            sys.stdout.flush()
    return shared or alone


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
