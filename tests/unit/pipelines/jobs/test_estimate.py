"""What training would take, said before it is read, beside what it then takes."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from foreshock_models.detectors import VAE, IForest
from foreshock_models.errors import JobError
from foreshock_pipelines.datasets.demo import demo_fleet
from foreshock_pipelines.jobfile import Job, load_job
from foreshock_pipelines.jobs.estimate import PROCESS_BYTES, RAY_BYTES, check_memory, estimate
from foreshock_pipelines.resources import machine
from foreshock_pipelines.resources.costs import Cost, costs_of
from foreshock_pipelines.resources.machine import available_cores, available_memory  # fmt: skip
from foreshock_pipelines.sources import open_source


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    folder = tmp_path_factory.mktemp("estimate")
    windows, _ = demo_fleet(hosts=4, days=2, incidents=0)
    windows.write_parquet(folder / "fleet.parquet")
    queries = "".join(f"  {name}: demo_{name}\n" for name in windows.features)
    file = folder / "fleet.yaml"
    file.write_text(
        f"name: fleet\nsource: {{parquet: fleet.parquet}}\nqueries:\n{queries}entity: [instance]\nstep: 60s\n"
        "history: 2d\ndetectors: {iforest: {n_trees: 2}}\n"
    )
    return load_job(file)


def test_samples_are_within_twice_what_is_read(job: Job) -> None:
    source = open_source(job)
    end = source.latest()
    found = estimate(job, source, end - job.history, end)
    windows = source.read(end - job.history, end)
    read = sum(len(windows.table) - windows.table.column(name).null_count for name in windows.features)
    assert read / 2 <= found.samples <= read * 2


def test_memory_of_the_rows_is_within_twice_what_training_takes(job: Job) -> None:
    source = open_source(job)
    end = source.latest()
    found = estimate(job, source, end - job.history, end)
    IForest(n_trees=2).fit(source.read(end - timedelta(hours=3), end))  # compiled before memory is looked at
    tracemalloc.start()
    try:
        IForest(n_trees=2).fit(source.read(end - job.history, end))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak / 2 <= found.memory - 2 * PROCESS_BYTES - RAY_BYTES <= peak * 2


def test_a_training_that_does_not_fit_is_refused_with_what_to_do(job: Job) -> None:
    source = open_source(job)
    end = source.latest()
    found = estimate(job, source, end - job.history, end)
    check_memory(replace(found, available=found.memory))
    with pytest.raises(JobError, match="shorter history, a larger step or fewer entities, or pass --force"):
        check_memory(replace(found, available=found.memory - 1))


def test_the_limit_of_a_cgroup_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "max").write_text("300000000\n")
    (tmp_path / "current").write_text("100000000\n")
    unlimited = available_memory()
    monkeypatch.setattr(machine, "CGROUPS", ((str(tmp_path / "max"), str(tmp_path / "current")),))
    assert available_memory() == 200_000_000 < unlimited
    (tmp_path / "max").write_text("max\n")
    assert available_memory() > 200_000_000


def test_costs_are_tried_out_once_and_kept(job: Job, tmp_path: Path) -> None:
    cache = tmp_path / "costs.json"
    found = costs_of(job, cache)
    assert found["iforest"].row > 0
    assert found["iforest"].scored > 0
    kept = cache.read_text()
    assert costs_of(job, cache) == found
    assert cache.read_text() == kept
    cache.write_text("{")
    assert costs_of(job, cache).keys() == found.keys()  # a damaged file is made anew
    assert json.loads(cache.read_text())


def test_time_grows_with_the_rows_and_is_shared_among_cores(job: Job) -> None:
    source = open_source(job)
    end = source.latest()
    costs = {"iforest": Cost(fixed=1.0, row=1e-3, learnt=0.0, scored=0.03)}
    found = estimate(job, source, end - job.history, end, costs)
    assert found.training_seconds == pytest.approx(1.0 + 1e-3 * found.rows)
    assert found.scoring_cores == pytest.approx(4 * 0.03 / 60)
    assert estimate(job, source, end - job.history, end).training_seconds is None


def test_a_model_for_each_entity_is_as_many_fits(job: Job) -> None:
    source = open_source(job)
    end = source.latest()
    costs = {"iforest": Cost(fixed=1.0, row=1e-3, learnt=0.0, scored=0.03)}
    each = job.model_copy(update={"detectors": {"iforest": {"n_trees": 2, "per_entity": True}}})
    found = estimate(each, source, end - job.history, end, costs)
    assert found.training_seconds == pytest.approx(4 * 1.0 + 1e-3 * found.rows)


def test_a_network_learns_from_a_bounded_number_of_rows() -> None:
    assert VAE(epochs=3, max_windows=1000).learns_from(10**6) == 3000
    assert VAE(epochs=3, max_windows=1000).learns_from(100) == 3 * 64


def test_the_quota_of_a_cgroup_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    monkeypatch.setattr(machine, "CPU_QUOTA", str(tmp_path / "cpu.max"))
    assert available_cores() == 0.5
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert available_cores() >= 1
