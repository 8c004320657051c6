"""Backtest: a replay that does not look ahead, and what it says."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

from foreshock_pipelines.backtesting.report import BacktestReport
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.jobs.backtest import backtest


@pytest.fixture(scope="module")
def job(trained: Any) -> Job:
    """The small fleet, learning from a day; its last three hours hold incidents."""
    found: Job = trained.job.model_copy(update={"history": timedelta(days=1)})
    return found


@pytest.fixture(scope="module")
def end(trained: Any) -> datetime:
    last: datetime = trained.windows.end
    return last


@pytest.fixture(scope="module")
def labels(trained: Any) -> dict[str, list[tuple[datetime, datetime]]]:
    return {incident.entity: [(incident.start, incident.end)] for incident in trained.incidents}


@pytest.fixture(scope="module")
def replayed(job: Job, end: datetime, labels: Any) -> BacktestReport:
    """The last ten hours, fitted three times."""
    return backtest(job, end - timedelta(hours=10), end, refit=timedelta(hours=4), labels=labels)


@pytest.mark.ray
def test_on_ray_it_gives_the_same(job: Job, replayed: BacktestReport, end: datetime, ray_cluster: None) -> None:
    lines: list[str] = []
    again = backtest(job, end - timedelta(hours=10), end, refit=timedelta(hours=4), progress=lines.append)
    for entity, scores in replayed.timelines.items():
        np.testing.assert_array_equal(scores, again.timelines[entity])
    assert sum(line.startswith("scored 4 of 4 groups") for line in lines) == 3
