from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import ray
from tests.fixtures.prometheus import make_job
from tests.servers import servers

from foreshock_models.errors import QueryError
from foreshock_pipelines.datasets import ray_dataset
from foreshock_pipelines.datasets.ray_dataset import collect_windows
from foreshock_pipelines.datasets.windows import Windows
from foreshock_pipelines.prometheus.source import PrometheusSource

pytestmark = [
    pytest.mark.ray,
    pytest.mark.prometheus,
    pytest.mark.usefixtures("ray_cluster"),
    # Ray Data warns of its own defaults
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data"),
]


@pytest.fixture
def short_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many steps that a day of minutes takes three tasks."""
    monkeypatch.setattr(ray_dataset, "MAX_STEPS", 500)


def source(url: str, fleet: Windows, **queries: str) -> PrometheusSource:
    return PrometheusSource(make_job(url, queries or {name: name for name in fleet.features}, step="60s"))


@pytest.mark.usefixtures("short_tasks")
def test_blocks_are_windows_one_for_each_stretch_of_time(fleet_prometheus: str, fleet: Windows) -> None:
    dataset = source(fleet_prometheus, fleet).dataset(fleet.start, fleet.end)
    blocks = [Windows(block) for block in ray.get(dataset.to_arrow_refs())]
    assert sorted(block.start for block in blocks) == [fleet.start + timedelta(minutes=m) for m in (0, 500, 1000)]
    assert {block.features for block in blocks} == {fleet.features}


@pytest.mark.usefixtures("short_tasks")
def test_a_dataset_is_the_whole_read(fleet_prometheus: str, fleet: Windows) -> None:
    one = source(fleet_prometheus, fleet)
    assert collect_windows(one.dataset(fleet.start, fleet.end)) == one.read(fleet.start, fleet.end)


@pytest.mark.usefixtures("short_tasks")
def test_a_stretch_without_series_does_not_fail_the_others(fleet_prometheus: str, fleet: Windows) -> None:
    one = source(fleet_prometheus, fleet, cpu="cpu")
    before = fleet.start - timedelta(days=1)
    got = collect_windows(one.dataset(before, fleet.end))
    assert got.between(fleet.start) == one.read(fleet.start, fleet.end)


def test_many_entities_make_short_stretches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_dataset, "BLOCK_BYTES", 1 << 20)
    now = int(time.time()) // 60 * 60
    hosts = [f'cpu{{instance="host-{i:03}"}} {i} {now - 3600}' for i in range(300)]
    text = "\n".join(["# TYPE cpu gauge", *hosts, "# EOF\n"])
    with servers.prometheus(tmp_path, windows=text, args=["--query.lookback-delta=1d"]) as url:
        end = datetime.fromtimestamp(now, UTC)
        dataset = PrometheusSource(make_job(url, step="1s")).dataset(end - timedelta(seconds=299), end)
        # 300 steps of 300 entities, 20 bytes each, are 1.8 MB
        assert dataset.materialize().num_blocks() == 2


def test_a_wrong_query_fails_before_any_task_starts(fleet_prometheus: str, fleet: Windows) -> None:
    with pytest.raises(QueryError, match="parse error"):
        source(fleet_prometheus, fleet, cpu="sum(").dataset(fleet.start, fleet.end)
