"""Run all tests in three processes at a time, on machines with two cores: many wait for servers to start.

The suite is a list of parts, longest first; a process that is done takes the next part. Each part is a pytest run
with a folder for Ray of its own, so that no part joins the cluster of another. The tests on a shared Ray cluster
are parts of their own: a process has one cluster at a time, and other tests start theirs. Output is printed part by
part, with its slowest tests. Command-line arguments (paths, ``-k`` ...) make it one ordinary pytest run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

PYTEST = [sys.executable, "-m", "pytest", "-q", "--durations=8"]
WORKERS = 3
API, JOBS = "tests/integration/platform/api", "tests/integration/pipelines/jobs"
PARTS: dict[str, list[str]] = {
    "shared cluster: jobs": ["-m", "shared", JOBS],
    "shared cluster: API": ["-m", "shared", API],
    "shared cluster: the rest": ["-m", "shared", "tests", f"--ignore={API}", f"--ignore={JOBS}"],
    "faults": ["-m", "not shared", "tests/faults"],
    "end to end": ["-m", "not shared", "tests/e2e"],
    "integration: pipelines": ["-m", "not shared", "tests/integration/pipelines", "tests/integration/configs"],
    "unit: platform": [
        "-m",
        "not shared",
        "tests/unit",
        "--ignore=tests/unit/models",
        "--ignore=tests/unit/pipelines",
    ],
    "integration: models, plugin, docs": [
        "-m",
        "not shared",
        *(f"tests/integration/{x}" for x in ("models", "plugin", "docs", "test_packaging.py")),
    ],
    "notebooks": ["notebooks"],
    "integration: platform": ["-m", "not shared", "tests/integration/platform"],
    "unit: pipelines": ["-m", "not shared", "tests/unit/pipelines"],
    "unit: models": ["-m", "not shared", "tests/unit/models"],
}


def run(name: str) -> bool:
    """Run one part and print its output; return whether it passed."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fs-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        # the folder's name is short because Ray's sockets lie in it; pytest's own folder, which all runs of a user
        # share, is closed to others whenever a run begins, PostgreSQL's user included
        done = subprocess.run(
            [*PYTEST, f"--basetemp={folder}/t", *PARTS[name]],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Ray's workers yield to all else unless told otherwise: beside other tests they would hardly run
            env={**os.environ, "RAY_TMPDIR": folder, "RAY_worker_niceness": "0"},
        )
    passed = done.returncode == 0
    title = f"{name}: {'passed' if passed else 'FAILED'} in {time.monotonic() - start:.0f} s"
    sys.stdout.buffer.write(f"\n### {title}\n".encode() + done.stdout)
    sys.stdout.flush()
    return passed


def main(arguments: list[str]) -> int:
    """Return the exit code: 0 if all parts passed."""
    if arguments:
        return subprocess.run([*PYTEST, *arguments]).returncode
    with ThreadPoolExecutor(WORKERS) as pool:
        passed = list(pool.map(run, PARTS))
    failed = [name for name, ok in zip(PARTS, passed, strict=True) if not ok]
    print(
        f"\n{len(PARTS) - len(failed)} of {len(PARTS)} parts passed"
        + "".join(f"\nFAILED: {name}" for name in failed)
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
