"""The forecast job: over entities and features, in this process and on Ray."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from foreshock_pipelines.datasets.windows import Windows
from foreshock_pipelines.jobfile import Job, parse_job
from foreshock_pipelines.jobs.forecast import forecast_windows

HOURS = 14 * 24
DAY = timedelta(hours=24)
JOB = """
name: disks
source: {parquet: fleet.parquet}
queries:
  load: {query: load, valid_range: [0, 100]}
  disk: {query: disk, valid_range: [0, 100], exhaustion: {limit: 95%, within: 48h}}
entity: [instance]
step: 1h
"""


@pytest.fixture(scope="module")
def job() -> Job:
    return parse_job(JOB)


@pytest.fixture(scope="module")
def windows() -> Windows:
    """Two hosts and one that fell silent; the disk of the first fills in 25 hours."""
    rng = np.random.default_rng(0)
    hours = np.arange(HOURS)
    load = [50 - 30 * np.cos(2 * np.pi * hours / 24) + rng.normal(size=HOURS) for _ in range(3)]
    fills = 90 - 0.2 * hours[::-1] + 0.2 * rng.normal(size=HOURS)
    steady = 40 + 0.2 * rng.normal(size=HOURS)
    dead = np.where(hours < 100, 40.0, np.nan)
    load[2] = np.where(hours < 100, load[2], np.nan)
    return Windows.build(
        np.tile(1_770_000_000_000 // 3_600_000 * 3_600_000 + hours * 3_600_000, 3),
        {"instance": np.repeat(["a", "b", "dead"], HOURS)},
        {"load": np.concatenate(load), "disk": np.concatenate([fills, steady, dead])},
        step=3600,
        job="disks",
    )


@pytest.mark.ray
def test_ray_tasks_give_what_this_process_gives(
    windows: Windows, job: Job, ray_cluster: None, monkeypatch: Any
) -> None:
    import ray

    there = forecast_windows(windows, job, DAY, "arima")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    here = forecast_windows(windows, job, DAY, "arima")
    pd.testing.assert_frame_equal(there.frame, here.frame)
    assert there.exhaustion == here.exhaustion
