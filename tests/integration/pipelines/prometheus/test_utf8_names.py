"""Entity labels with names of Prometheus 3, from a server that has them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.servers import servers

from foreshock_models.errors import QueryError
from foreshock_pipelines.datasets.windows import Windows
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.jobs.probe import Answer, probe
from foreshock_pipelines.sources import open_source

pytestmark = pytest.mark.prometheus


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    """A VictoriaMetrics with two services of `service.name`, which takes no such name in quotes."""
    with servers.victoria_metrics(tmp_path_factory.mktemp("victoria")) as url:
        now = round(time.time() * 1000)
        lines = [
            json.dumps(
                {
                    "metric": {"__name__": "cpu", "service.name": service, "zone": "a"},
                    "values": [1, 2],
                    "timestamps": [now - 60_000, now],
                }
            )
            for service in ("cart", "shop")
        ]
        httpx.post(f"{url}/api/v1/import", content="\n".join(lines)).raise_for_status()
        httpx.get(f"{url}/internal/force_flush").raise_for_status()
        yield Job.model_validate(
            {"name": "j", "source": {"prometheus": url}, "queries": {"cpu": "cpu"}, "entity": ["service.name"]}
        )


def test_entities_are_counted_read_and_kept(job: Job, tmp_path: Path) -> None:
    source = open_source(job)
    assert source.discover() == {"cpu": 2}
    assert probe(job) == [Answer("queries.cpu", 2, 2)]
    end = source.latest()
    windows = source.read(end - 5 * job.step, end)
    assert windows.entities == ("cart", "shop")
    windows.write_parquet(tmp_path / "w.parquet")
    assert Windows.read_parquet(tmp_path / "w.parquet") == windows
    saved = job.model_copy(
        update={"source": job.source.model_copy(update={"prometheus": None, "parquet": tmp_path / "w.parquet"})}
    )
    assert open_source(saved).discover() == {"cpu": 2}
    assert open_source(saved).read(windows.start, windows.end).entities == ("cart", "shop")


def test_a_label_that_is_not_there_is_named_as_a_query_writes_it(job: Job) -> None:
    other = job.model_copy(update={"entity": ["service.nam"]})
    source = open_source(other)
    with pytest.raises(QueryError, match=r'sum by \("service.nam"\).*did you mean .service\.name.'):
        source.read(source.latest() - 5 * job.step, source.latest())
