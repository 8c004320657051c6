"""Scores on their way into a Prometheus that may be away."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tests.servers import servers

from foreshock.scoring.remote_write import ScoreWriter, blocks_of, series_of
from foreshock.scoring.write_queue import Block, WriteQueue
from foreshock.store import open_store
from foreshock_models.panel import Panel
from foreshock_models.state import State
from foreshock_pipelines.jobfile import Job, WriteConfig
from foreshock_pipelines.scoring.causes import Causes
from foreshock_pipelines.scoring.scored_rows import ScoredRows, Usual

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


def scored(entities: int = 2, steps: int = 3, first: int | None = None, features: int = 2) -> ScoredRows:
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
    return ScoredRows(
        "v1", panel, rows, flags, flags, Causes(), State(), members={"iforest": rows / 2}, usual=usual
    )


def until(condition: Callable[[], Any], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


class Written:
    """A store, what waits in it, and the writers that were begun on it."""

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder}/store.db"
        self.store = open_store(self.url)
        self.blocks = WriteQueue(self.store)
        self.writers: list[ScoreWriter] = []

    def put(self, rows: ScoredRows, *, features: bool = True, age: float = 0.0) -> None:
        """As a pass does; `age` is how many seconds ago."""
        found = blocks_of(job(), rows, "ensemble", features=features)
        with self.store.begin() as c:
            self.blocks.post(c, "node", found, round((time.time() - age) * 1000))

    def start(self, url: str, **keys: Any) -> ScoreWriter:
        self.writers.append(ScoreWriter("node", WriteConfig.model_validate({"url": url, **keys}), self.url))
        return self.writers[-1]


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Written]:
    made = Written(tmp_path)
    yield made
    for one in made.writers:
        one.close()
    made.store.close()


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
def test_scores_and_what_is_usual_are_read_back_by_query(outbox: Written, tmp_path: Path, kind: str) -> None:
    start = (
        servers.prometheus(tmp_path, args=["--web.enable-remote-write-receiver"])
        if kind == "prometheus"
        else servers.victoria_metrics(tmp_path)
    )
    with start as url:
        outbox.put(scored())
        to = outbox.start(f"{url}/api/v1/write")
        until(lambda: to.stats.written == 5 * 8)
        until(lambda: len(values(url, "foreshock_upper")) == 4)
        assert values(url, "foreshock_anomaly_score") == {
            ("ensemble", "api", "h0", "node"): [0, 1],  # detector, exported_job, instance, job
            ("ensemble", "api", "h1", "node"): [3, 4, 5],
        }
        assert values(url, "foreshock_detector_score")["iforest", "api", "h1", "node"] == [1.5, 2, 2.5]
        assert values(url, "foreshock_expected")["api", "memory", "h1", "node"] == [2, 2, 2]
        assert values(url, "foreshock_upper")["api", "cpu", "h0", "node"] == [3, 3]
        until(lambda: to.stats.waiting == 0)
        assert to.stats.refused == to.stats.dropped == 0


@pytest.mark.prometheus
@pytest.mark.slow
def test_what_waits_while_the_receiver_is_down_is_written_when_it_is_back_by_whoever_is_there(
    outbox: Written, tmp_path: Path
) -> None:
    first = round(time.time() * 1000) // STEP * STEP - 100 * STEP
    args = ["--web.enable-remote-write-receiver"]
    port = servers.free_port()
    to = outbox.start(f"http://127.0.0.1:{port}/api/v1/write")
    for i in range(3):
        outbox.put(scored(first=first + i * 3 * STEP), features=False)
        to.wake()
    until(lambda: to.stats.failures >= 1 and to.stats.waiting == 3 * 5 * 2)
    assert to.stats.written == 0
    to.close()
    with servers.prometheus(tmp_path, args=args, port=port) as url:
        other = outbox.start(f"{url}/api/v1/write")
        until(lambda: other.stats.written == 3 * 5 * 2)
        assert len(values(url, "foreshock_anomaly_score")["ensemble", "api", "h1", "node"]) == 9
        until(lambda: other.stats.waiting == 0)
    assert outbox.blocks.first("node") is None


@pytest.mark.prometheus
def test_of_a_long_catch_up_nothing_is_refused(outbox: Written, tmp_path: Path) -> None:
    steps = 1000  # four hours, which a Prometheus takes in the order of time only
    outbox.put(scored(entities=20, steps=steps, first=round(time.time() * 1000) // STEP * STEP - steps * STEP))
    with servers.prometheus(tmp_path, args=["--web.enable-remote-write-receiver"]) as url:
        to = outbox.start(f"{url}/api/v1/write")
        until(lambda: to.stats.written + to.stats.refused == (20 * steps - 1) * 8)
        assert to.stats.refused == 0


def test_what_waits_longer_than_it_is_retained_is_dropped_and_counted(outbox: Written) -> None:
    outbox.put(scored(), age=120)
    outbox.put(scored())
    to = outbox.start(f"http://127.0.0.1:{servers.free_port()}/w", retain="1m")
    until(lambda: to.stats.failures >= 1)
    assert (to.stats.dropped, to.stats.waiting) == (5 * 8, 5 * 8)


def test_a_block_that_cannot_be_read_does_not_hold_up_others(outbox: Written) -> None:
    with outbox.store.begin() as c:
        outbox.blocks.post(c, "node", [Block(7, b"no Arrow")], round(time.time() * 1000))
    outbox.put(scored())
    to = outbox.start(f"http://127.0.0.1:{servers.free_port()}/w")
    until(lambda: to.stats.failures >= 1)
    assert (to.stats.dropped, to.stats.waiting) == (7, 5 * 8)


def test_scores_alone_are_written_where_features_are_not_wanted() -> None:
    (block,) = blocks_of(job(), scored(), "ensemble", features=False)
    assert {s.labels["__name__"] for s in series_of(block)} == {
        "foreshock_anomaly_score",
        "foreshock_detector_score",
    }
    assert block.samples == 5 * 2


def test_blocks_hold_a_pass_in_the_order_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foreshock.scoring.remote_write.BLOCK", 8 * 10)
    rows = scored(entities=3, steps=10)
    blocks = blocks_of(job(), rows, "ensemble", features=True)
    spans = [(min(t), max(t)) for b in blocks if (t := [int(x) for s in series_of(b) for x in s.timestamps])]
    assert len(blocks) == 3
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))
    assert sum(b.samples for b in blocks) == sum(len(s) for b in blocks for s in series_of(b)) == 29 * 8
