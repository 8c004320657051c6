"""Runs as Ray tasks."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from foreshock.runs.execution import launch
from foreshock.runs.model import Run
from foreshock.runs.repository import RunRepository
from foreshock.store import open_store
from foreshock_pipelines.registry import Registry


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def runs(url: str) -> Iterator[RunRepository]:
    store = open_store(url)
    yield RunRepository(store)
    store.close()


def begin(runs: RunRepository, kind: str = "train", promotion: str | None = None) -> Run:
    now = datetime.now(UTC)
    run = runs.begin("small", kind, now, now=now, cause="test", promotion=promotion)
    assert run is not None
    return run


@pytest.mark.ray
@pytest.mark.slow
def test_cancelling_stops_a_run_in_the_middle_with_the_tasks_that_it_started(
    ray_cluster: None, runs: RunRepository, url: str, trained: Any, tmp_path: Path
) -> None:
    import ray

    endless = trained.job.model_copy(update={"detectors": {"iforest": {"n_trees": 200_000}}})
    run = begin(runs)
    reference = launch(run, endless, url, str(tmp_path / "models"))
    until(lambda: _processes("ray::fit iforest"))
    runs.update(run.id, state="cancelled", ended=datetime.now(UTC))
    assert ray.get(reference, timeout=30) == {}
    until(lambda: not _processes("ray::fit iforest"))
    assert runs.get(run.id).state == "cancelled"
    assert Registry(tmp_path / "models").champion("small") is None


def _processes(title: str) -> list[int]:
    """Tasks of this test's own cluster, whose workers descend from this process."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if title in " ".join(process.cmdline()):
                found.append(process.pid)
    return found


def until(condition: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
