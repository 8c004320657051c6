"""All tests in two processes side by side: those that share a Ray cluster, and the rest.

Both wait for much that others start: side by side they take little more than the longer one. Words of the command
line (paths, ``-k`` ...) are for one pytest, as usual.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile

PYTEST = [sys.executable, "-m", "pytest"]


def main(words: list[str]) -> int:
    """Exit code: 0 if all passed."""
    if words:
        return subprocess.run([*PYTEST, *words]).returncode
    with tempfile.TemporaryFile() as log:
        rest = subprocess.Popen([*PYTEST, "-m", "not ray"], stdout=log, stderr=subprocess.STDOUT)
        try:
            on_ray = subprocess.run([*PYTEST, "-m", "ray"]).returncode
            alone = rest.wait()
        finally:
            if rest.poll() is None:
                rest.terminate()
                rest.wait()
            log.seek(0)
            sys.stdout.flush()
            sys.stdout.buffer.write(log.read())
            sys.stdout.flush()
    return on_ray or alone


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
