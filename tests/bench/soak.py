"""Does memory stay flat? The platform replays the past at 100 times its speed; every process is watched.

A whole run takes an hour; ``--share 0.2`` takes twelve minutes, and says less.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tests.bench.harness import Row, Size
from tests.bench.inputs import fleet
from tests.bench.processes import Usage, usage
from tests.servers.servers import free_port

from foreshock.runtime.control_loop import Replay
from foreshock.scoring.checkpoint import CheckpointRepository
from foreshock.settings import load_settings
from foreshock.store import open_store
from foreshock.up import bring_up, ray_cluster
from foreshock_pipelines.jobfile import load_job
from foreshock_pipelines.jobs.train import train
from foreshock_pipelines.registry import Registry

__all__ = ["rows"]

SPEED = 100.0
HOSTS = 20
TRAINED = 1.5
"""Days of history before the replay."""
EVERY = 5.0
"""Seconds between two looks."""
SETTLE = 0.25
"""Share of the time, at its beginning, that does not count: models are loaded, code is compiled, caches fill."""
LIMIT = 50e6
"""Bytes an hour, of all processes together, that count as flat."""


def rows(size: Size) -> Iterator[Row]:
    minutes = 60.0 * size.share
    with tempfile.TemporaryDirectory(prefix="foreshock-bench-") as name:
        folder = Path(name)
        windows = fleet(HOSTS, TRAINED + minutes * SPEED / 1440 + 0.2, incidents=HOSTS - 1)
        windows.write_parquet(folder / "fleet.parquet")
        queries = "".join(f"  {feature}: {feature}\n" for feature in windows.features)
        file = folder / "soak.yaml"
        file.write_text(
            f"name: soak\nsource: {{parquet: fleet.parquet}}\nqueries:\n{queries}entity: [instance]\nstep: 60s\n"
            "detectors: {iforest: {}, lstm: {epochs: 2}, vae: {epochs: 2}}\n"
        )
        job = load_job(file)
        settings = load_settings(home=folder, port=free_port(), log_level="ERROR")
        start = windows.start + timedelta(days=TRAINED)
        train(job, Registry(settings.registry), end=start)
        with ray_cluster(settings, serving=True) as own:
            replay = Replay(start, windows.end, job.step_seconds, SPEED)
            bring_up(settings, {job.name: job}, replay=replay, own_cluster=own)
            seen = _watch(minutes * 60.0)
        store = open_store(settings.store)
        known = CheckpointRepository(store).get(job.name)
        store.close()
    scored_hours = 0.0 if known is None else (known.scored_ms / 1000 - start.timestamp()) / 3600
    yield _row(seen, minutes, scored_hours)


def _watch(seconds: float) -> list[tuple[float, Usage]]:
    """Time and what all processes hold, until `seconds` are over."""
    began, seen = time.monotonic(), []
    while (now := time.monotonic() - began) < seconds:
        seen.append((now, usage(os.getpid())))
        time.sleep(EVERY)
    return seen


def _row(seen: list[tuple[float, Usage]], minutes: float, scored_hours: float) -> Row:
    kept = [(at, found) for at, found in seen if at >= SETTLE * 60 * minutes]
    hours = np.array([at / 3600 for at, _ in kept])
    slope = _slope(hours, [found.private for _, found in kept])
    names = kept[-1][1].private_by_name
    growth = {name: _slope(hours, [found.private_by_name.get(name, 0) for _, found in kept]) for name in names}
    last = float(np.median([found.private for _, found in kept[-5:]]))
    return Row(
        f"{minutes:g} min of the platform, {scored_hours:.0f} h of {HOSTS} hosts replayed: private memory",
        f"{last / 1e9:.2f} GB, {slope / 1e6:+.0f} MB/h", f"limit {LIMIT / 1e6:+.0f} MB/h", slope / LIMIT, "flat",
        slope <= LIMIT, {"bytes_per_hour": slope, "of_each": growth, "seen": [(at, f.private) for at, f in seen]},
    )  # fmt: skip


def _slope(hours: NDArray[np.float64], values: list[int]) -> float:
    return float(np.polyfit(hours, values, 1)[0])
