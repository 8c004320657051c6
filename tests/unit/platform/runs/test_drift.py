"""Drift of inputs: measured once an hour, and a reason to train."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foreshock.runs.drift import DriftWatch
from foreshock.runtime.metrics import ControlLoopMetrics
from foreshock_models.errors import SourceUnavailable
from foreshock_pipelines.datasets.windows import Windows
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.jobs.drift import drift
from foreshock_pipelines.registry import Registry

NOW = datetime(2026, 3, 2, 18, 0, tzinfo=UTC)


def watching(job: Job, limit: float | None) -> Job:
    return job.model_copy(update={"schedule": job.schedule.model_copy(update={"train_on_drift": limit})})


class Measured:
    """Measurements that are done at once, and how many there were."""

    def __init__(self, *found: dict[str, float] | Exception) -> None:
        self.left = list(found)
        self.times = 0

    def __call__(self, job: Job) -> Future[dict[str, float]]:
        self.times += 1
        future: Future[dict[str, float]] = Future()
        one = self.left.pop(0)
        future.set_exception(one) if isinstance(one, Exception) else future.set_result(one)
        return future


def test_a_feature_over_the_limit_is_a_reason_to_train(trained: Any) -> None:
    watch = DriftWatch(Measured({"cpu": 0.31, "memory": 0.02}), lambda job: None)
    job = watching(trained.job, 0.25)
    assert watch.look(job, NOW) is None
    assert watch.look(job, NOW) == "drift: cpu 0.31, the limit is 0.25"


@pytest.mark.parametrize(("limit", "last"), [(None, None), (0.5, None), (0.25, NOW - timedelta(hours=23))])
def test_no_limit_less_drift_or_a_training_today_are_no_reason(
    trained: Any, limit: float | None, last: datetime | None
) -> None:
    watch = DriftWatch(Measured({"cpu": 0.31}), lambda job: last)
    job = watching(trained.job, limit)
    watch.look(job, NOW)
    assert watch.look(job, NOW) is None
    assert watch.found["small"] == {"cpu": 0.31}


def test_it_is_measured_once_an_hour_and_a_failure_leaves_what_was_known(trained: Any) -> None:
    measure = Measured({"cpu": 0.1}, SourceUnavailable("down"))
    watch = DriftWatch(measure, lambda job: None)
    for minute in range(60):
        watch.look(trained.job, NOW + timedelta(minutes=minute))
    assert measure.times == 1
    for minute in range(60, 63):
        watch.look(trained.job, NOW + timedelta(minutes=minute))
    assert measure.times == 2
    assert watch.found["small"] == {"cpu": 0.1}


def test_what_is_measured_of_a_real_model_is_a_metric(trained: Any) -> None:
    with ThreadPoolExecutor(1) as pool:
        watch = DriftWatch(lambda job: pool.submit(drift, job, Registry(trained.registry)), lambda job: None)
        watch.look(trained.job, NOW)
        pool.shutdown(wait=True)
        watch.look(trained.job, NOW)
    measures = ControlLoopMetrics()
    measures.drifted("small", watch.found["small"])
    assert 'foreshock_input_drift{feature="cpu",job="small"}' in measures.exposition(NOW)


def test_a_partial_answer_is_no_measure_of_drift(trained: Any, tmp_path: Path) -> None:
    panel = trained.windows.to_panel()
    columns = {name: panel.values[:, j] for j, name in enumerate(panel.features)}
    names = np.array(panel.entities, dtype=object)[panel.codes]
    windows = Windows.build(panel.timestamps, {"instance": names}, columns, step=60, partial=["store-2 is down"])
    windows.write_parquet(tmp_path / "part.parquet")
    source = trained.job.source.model_copy(update={"parquet": tmp_path / "part.parquet"})
    job = trained.job.model_copy(update={"source": source})
    with pytest.raises(SourceUnavailable, match="partial answer: store-2 is down; the inputs cannot be compared"):
        drift(job, Registry(trained.registry))
