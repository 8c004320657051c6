"""Speed, beside the peers, in one table: ``python -m tests.bench [PART ...]``.

Each part runs in a process of its own and writes ``OUT/<part>.json``; the table shows them all.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.bench.harness import Row, Size, show, write

PARTS = {
    "ingest": "a million samples from Prometheus; prometheus-api-client, curl",
    "forest": "Isolation Forest: one row, many rows; PyOD's",
    "networks": "LSTM and VAE scoring; PyOD's",
    "explain": "attributions of one row; KernelExplainer",
    "scoring": "one pass of 10, 100 and 1,000 entities",
    "fleet": "training a fleet; PyOD's, one model an entity",
    "coldstart": "a new job, from its history to its first scores",
    "rest": "the demo to its first alert; what the platform takes at rest",
    "serving": "scoring over HTTP; a no-op, FastAPI + PyOD",
    "gpu": "networks on a GPU, beside the CPU",
    "store": "a million alerts in SQLite and PostgreSQL",
}
"""Parts of `make bench`, in order: a module of this folder each, with ``rows(size)``."""
ALONE: dict[str, str] = {
    "soak": "an hour of the platform at 100 times the speed: does memory stay flat",
}
"""Parts that only run when they are named."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join([*PARTS, *ALONE]))
    parser.add_argument("--share", type=float, default=1.0, help="size of the inputs; 1 is what goals are for")
    parser.add_argument("--out", type=Path, default=Path("bench-out"))
    options = parser.parse_args()
    for name in options.parts:
        if name not in PARTS | ALONE:
            parser.error(f"no part {name!r}; there are {', '.join([*PARTS, *ALONE])}")
    parts = options.parts or list(PARTS)
    if len(parts) == 1:
        measure(parts[0], Size(options.share), options.out)
        return
    failed = []
    for name in parts:
        print(f"{name}: {(PARTS | ALONE)[name]}", flush=True)
        command = [sys.executable, "-m", "tests.bench", name, "--share", str(options.share), "--out", options.out]
        if subprocess.run([str(word) for word in command], stdout=subprocess.DEVNULL).returncode != 0:
            failed.append(name)
    found = [json.loads((options.out / f"{name}.json").read_text()) for name in parts if name not in failed]
    show(Row(**row) for part in found for row in part["rows"])
    print(f"{sum(part['took_s'] for part in found):.0f} s in all; {options.out}/*.json")
    if failed:
        sys.exit(f"these parts failed: {', '.join(failed)}")


def measure(name: str, size: Size, out: Path) -> None:
    (out / f"{name}.json").unlink(missing_ok=True)
    began = time.perf_counter()
    rows = list(importlib.import_module(f"tests.bench.{name}").rows(size))
    write(out, name, rows, time.perf_counter() - began, size)
    show(rows)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers and clusters are stopped
    # one thread a process, for ours and the peers alike, as Ray's workers have it
    for library in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    main()
