"""Calls of a service-graph metric, from real servers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.fixtures.prometheus import make_job
from tests.servers import servers

from foreshock_models.errors import QueryError
from foreshock_pipelines.jobs.probe import Answer, probe
from foreshock_pipelines.prometheus.service_graph import read_calls

pytestmark = pytest.mark.prometheus

NAME = "traces_service_graph_request_total"
MINUTE = 60
NOW = int(time.time()) // MINUTE * MINUTE
CALLS = {
    ("web", "api"): [(m, 10 + m) for m in range(240)],
    ("api", "db"): [(m, 100 + (m if m < 100 else 100)) for m in range(240)],  # stands still since
    ("api", "new"): [(238, 4), (239, 4)],  # came with four calls at once
    ("api", "idle"): [(m, 0) for m in range(240)],
    ("web", "web"): [(m, m) for m in range(240)],
    ("user", "web"): [(m, m) for m in range(240)],
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    lines = [f"# TYPE {NAME.removesuffix('_total')} counter"]
    for (client, server), points in CALLS.items():
        labels = f'{{client="{client}",server="{server}",connection_type=""}}'
        lines += [f"{NAME}{labels} {value} {NOW + (m - 239) * MINUTE}" for m, value in points]
    lines += ["# TYPE cpu gauge", *(f'cpu{{instance="a"}} 1 {NOW + (m - 239) * MINUTE}' for m in range(240))]
    with servers.prometheus(tmp_path_factory.mktemp("graph"), windows="\n".join([*lines, "# EOF\n"])) as url:
        yield url


def job(url: str, **topology: Any) -> Any:
    return make_job(url, topology={"metric": NAME, **topology})


def test_calls_that_were_counted_within_the_time_are_read(url: str) -> None:
    found = read_calls(job(url), (NOW - 30 * MINUTE) * 1000, NOW * 1000)
    assert found == {("web", "api"), ("api", "new"), ("user", "web")}
    earlier = read_calls(job(url), (NOW - 180 * MINUTE) * 1000, NOW * 1000)
    assert earlier == {*found, ("api", "db")}


def test_a_selector_narrows_the_calls(url: str) -> None:
    metric = f'{NAME}{{client!="user"}}'
    found = read_calls(job(url, metric=metric), (NOW - 30 * MINUTE) * 1000, NOW * 1000)
    assert found == {("web", "api"), ("api", "new")}


def test_labels_that_the_metric_has_not_are_named(url: str) -> None:
    with pytest.raises(QueryError, match="no labels source and destination; set `caller` and `callee`"):
        read_calls(job(url, caller="source", callee="destination"), (NOW - 30 * MINUTE) * 1000, NOW * 1000)


def test_the_probe_of_a_job_counts_calls_and_says_if_there_are_none(url: str) -> None:
    assert probe(job(url))[-1] == Answer("topology.metric", 3, 4)
    nothing = probe(job(url, metric="misspelt_total"))[-1]
    assert nothing.problem == "shows no call of the last hour; is the metric named right, and scraped?"
