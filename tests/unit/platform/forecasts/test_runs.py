"""A scheduled forecast: kept, announced, and written where the job says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from foreshock.alerts.repository import AlertRepository
from foreshock.forecasts.repository import ForecastRepository
from foreshock.runs.work import WORK, Task
from foreshock.store import open_store
from foreshock_pipelines.datasets.windows import Windows
from foreshock_pipelines.jobfile import load_job
from foreshock_pipelines.registry import Registry

HOURS = 14 * 24
JOB = """
name: disks
source: {parquet: fleet.parquet}
queries: {disk: {query: disk, valid_range: [0, 1], exhaustion: {limit: 95%, within: 48h}}}
entity: [instance]
step: 1h
schedule: {forecast: 1h}
forecast: {horizon: 12h, method: arima}
"""


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """Of two disks, the first of which fills in 25 hours."""
    rng = np.random.default_rng(0)
    hours = np.arange(HOURS)
    fills = 0.9 - 0.002 * hours[::-1] + 0.002 * rng.normal(size=HOURS)
    steady = 0.4 + 0.002 * rng.normal(size=HOURS)
    Windows.build(
        np.tile(1_770_000_000_000 // 3_600_000 * 3_600_000 + hours * 3_600_000, 2),
        {"instance": np.repeat(["a", "b"], HOURS)},
        {"disk": np.concatenate([fills, steady])},
        step=3600,
        job="disks",
    ).write_parquet(tmp_path / "fleet.parquet")
    (tmp_path / "job.yaml").write_text(JOB)
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    return Task(load_job(tmp_path / "job.yaml"), Registry(tmp_path / "models"), store, lambda line: None)


def test_a_run_keeps_its_forecast_and_opens_what_will_run_out_once(task: Task) -> None:
    result = WORK["forecast"](task)
    assert (result["series"], result["horizon_hours"], result["methods"]) == (2, 12.0, {"arima": 2})
    assert [one.split(":")[0] for one in result["alerts"]] == ["opened"]
    kept = ForecastRepository(task.store).find("disks")
    assert [(one.entity, one.rows.shape) for one in kept] == [("a", (12, 3)), ("b", (12, 3))]
    WORK["forecast"](task)
    (alert,) = AlertRepository(task.store).list(kind="predicted").alerts
    assert (alert.entity, alert.feature, alert.state) == ("a", "disk", "open")


def test_a_receiver_that_is_down_fails_no_run(task: Task) -> None:
    from foreshock_pipelines.jobfile import WriteConfig

    job = task.job.model_copy(update={"write": WriteConfig(url="http://127.0.0.1:1/api/v1/write")})
    result = WORK["forecast"](Task(job, task.registry, task.store, task.note))
    assert result["written"].startswith("not written: http://127.0.0.1:1/api/v1/write")
    assert len(ForecastRepository(task.store).find("disks")) == 2
