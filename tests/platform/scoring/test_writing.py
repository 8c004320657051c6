"""Scores on their way into a Prometheus that may be away."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tests.servers import servers

from foreshock.scoring.writing import ScoreWriter, series_of
from foreshock_models.calibration.state import State
from foreshock_models.panel import Panel
from foreshock_pipelines.jobfile import Job, WriteConfig
from foreshock_pipelines.jobs.score import Scored, Usual

STEP = 15_000


def job(**keys: Any) -> Job:
    return Job.model_validate(
        {
            "name": "node",
            "source": {"prometheus": "http://localhost:9090"},
            "queries": {"cpu": "cpu", "memory": "memory"},
            "entity": ["instance", "job"],
            "step": "15s",
            **keys,
        }
    )


def scored(entities: int = 2, steps: int = 3, first: int | None = None, features: int = 2) -> Scored:
    """Rows whose score is their number; the last row of the first entity has no sample."""
    first = round(time.time() * 1000) // STEP * STEP - 10 * STEP if first is None else first
    n = entities * steps
    values = np.ones((n, features))
    values[steps - 1] = np.nan
    panel = Panel(
        values, np.arange(entities + 1) * steps, tuple(f"instance=h{i},job=api" for i in range(entities)),
        tuple(["cpu", "memory", *(f"f{i}" for i in range(features - 2))]),
        np.tile(first + np.arange(steps) * STEP, entities), 15.0,
    )  # fmt: skip
    flags = np.zeros(n, np.bool_)
    rows = np.arange(n, dtype=np.float64)
    usual = Usual(values * 2, values, values * 3)
    return Scored("v1", panel, rows, flags, flags, {}, State(), members={"iforest": rows / 2}, usual=usual)


def until(condition: Callable[[], Any], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


@pytest.fixture
def writer() -> Iterator[Callable[..., ScoreWriter]]:
    made: list[ScoreWriter] = []

    def make(url: str, **keys: Any) -> ScoreWriter:
        options = {k: keys.pop(k) for k in ("capacity",) if k in keys}
        made.append(ScoreWriter(WriteConfig.model_validate({"url": url, **keys}), **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def values(url: str, metric: str) -> dict[tuple[str, ...], list[float]]:
    """Samples of a metric by its labels' values, in the order of the labels' names."""
    query = {"query": f"{metric}[1h]", "time": f"{time.time() + 30:.3f}"}
    result = httpx.get(f"{url}/api/v1/query", params=query).raise_for_status().json()["data"]["result"]
    return {
        tuple(v for k, v in sorted(one["metric"].items()) if k != "__name__"): [float(v) for _, v in one["values"]]
        for one in result
    }


@pytest.mark.prometheus
@pytest.mark.parametrize("kind", ["prometheus", "victoria-metrics"])
def test_scores_and_what_is_usual_are_read_back_by_query(writer: Any, tmp_path: Path, kind: str) -> None:
    start = (
        servers.prometheus(tmp_path, args=["--web.enable-remote-write-receiver"])
        if kind == "prometheus"
        else servers.victoria_metrics(tmp_path)
    )
    with start as url:
        to = writer(f"{url}/api/v1/write")
        to.put(job(), scored(), "ensemble")
        until(lambda: to.stats.written == 5 * 8)
        until(lambda: len(values(url, "foreshock_upper")) == 4)
        assert values(url, "foreshock_anomaly_score") == {
            ("ensemble", "api", "h0", "node"): [0, 1],  # detector, exported_job, instance, job
            ("ensemble", "api", "h1", "node"): [3, 4, 5],
        }
        assert values(url, "foreshock_detector_score")["iforest", "api", "h1", "node"] == [1.5, 2, 2.5]
        assert values(url, "foreshock_expected")["api", "memory", "h1", "node"] == [2, 2, 2]
        assert values(url, "foreshock_upper")["api", "cpu", "h0", "node"] == [3, 3]
        assert to.stats.waiting == to.stats.refused == to.stats.dropped == 0


@pytest.mark.prometheus
@pytest.mark.slow
def test_what_waits_while_the_receiver_is_down_is_written_when_it_is_back(writer: Any, tmp_path: Path) -> None:
    first = round(time.time() * 1000) // STEP * STEP - 100 * STEP
    args = ["--web.enable-remote-write-receiver"]
    port = servers.free_port()
    to = writer(f"http://127.0.0.1:{port}/api/v1/write", features=False)
    for i in range(3):
        to.put(job(), scored(first=first + i * 3 * STEP), "ensemble")
    until(lambda: to.stats.failures >= 1)
    assert to.stats.written == 0
    with servers.prometheus(tmp_path, args=args, port=port) as url:
        until(lambda: to.stats.written == 3 * 5 * 2)
        assert len(values(url, "foreshock_anomaly_score")["ensemble", "api", "h1", "node"]) == 9
    assert to.stats.waiting == 0


def test_beyond_its_bound_the_oldest_is_dropped_and_counted(writer: Any) -> None:
    to = writer(f"http://127.0.0.1:{servers.free_port()}/w", capacity=50, features=False)
    began = time.monotonic()
    for _ in range(10):
        to.put(job(), scored(), "ensemble")
    assert time.monotonic() - began < 1, "to put must not wait for the receiver"
    assert to.stats.waiting <= 50
    assert to.stats.waiting + to.stats.dropped == 10 * 6 * 2


def test_scores_alone_are_written_where_features_are_not_wanted() -> None:
    names = {s.labels["__name__"] for s in series_of(job(), scored(), "ensemble", features=False)}
    assert names == {"foreshock_anomaly_score", "foreshock_detector_score"}


def test_a_pass_over_a_thousand_entities_is_taken_at_once(writer: Any) -> None:
    to = writer(f"http://127.0.0.1:{servers.free_port()}/w")
    one = scored(entities=1000, steps=1, features=8)
    began = time.perf_counter()
    to.put(job(), one, "ensemble")
    assert time.perf_counter() - began < 0.05
