"""Call graphs from service-graph metrics: what is kept, and what is forgotten."""

from __future__ import annotations

from typing import Any

import pytest

from foreshock.incidents.builder import IncidentBuilder
from foreshock.incidents.call_graphs import CallGraphs
from foreshock_models.errors import ConfigError, SourceUnavailable
from foreshock_pipelines.jobfile import Job, parse_job

JOB = """
name: shop
source: {prometheus: http://localhost:9090}
queries: {latency: latency}
entity: [service]
topology: {metric: calls_total, calls: {batch: [db]}, keep: 1d}
"""
HOUR = 3_600_000
NOW = 1_000 * HOUR


class Metric:
    """A service-graph metric whose calls are set by hand."""

    def __init__(self) -> None:
        self.calls: set[tuple[str, str]] = set()
        self.down = False
        self.asked: list[tuple[int, int]] = []

    def __call__(self, job: Job, start_ms: int, end_ms: int) -> set[tuple[str, str]]:
        self.asked.append((start_ms, end_ms))
        if self.down:
            raise SourceUnavailable("connection refused")
        return self.calls


@pytest.fixture
def metric() -> Metric:
    return Metric()


@pytest.fixture
def graphs(house: Any, metric: Metric) -> CallGraphs:
    house.jobs = {"shop": parse_job(JOB)}
    return CallGraphs(house.store, lambda: house.jobs, metric)


def test_counted_calls_are_added_to_those_of_the_file(house: Any, graphs: CallGraphs, metric: Metric) -> None:
    metric.calls = {("web", "api"), ("api", "db")}
    graphs.run(NOW)
    assert graphs.of(house.jobs["shop"]) == {"api": ["db"], "batch": ["db"], "web": ["api"]}


def test_a_metric_is_read_from_where_the_last_reading_ended(graphs: CallGraphs, metric: Metric) -> None:
    metric.calls = {("web", "api")}
    for now in (NOW, NOW + 60_000, NOW + 300_000):
        graphs.run(now)
    assert metric.asked == [(NOW - 24 * HOUR, NOW), (NOW - 120_000, NOW + 300_000)]


def test_a_source_that_is_down_takes_no_call_away(house: Any, graphs: CallGraphs, metric: Metric) -> None:
    metric.calls = {("web", "api")}
    graphs.run(NOW)
    metric.down = True
    graphs.run(NOW + HOUR)
    assert graphs.of(house.jobs["shop"])["web"] == ["api"]


def test_a_restart_knows_the_calls_before_the_first_reading(house: Any, graphs: CallGraphs, metric: Metric) -> None:
    metric.calls = {("web", "api")}
    graphs.run(NOW)
    again = CallGraphs(house.store, lambda: house.jobs, metric)
    assert again.of(house.jobs["shop"])["web"] == ["api"]


def test_a_call_that_is_no_longer_counted_is_forgotten_after_a_while(
    house: Any, graphs: CallGraphs, metric: Metric
) -> None:
    metric.calls = {("web", "api"), ("api", "old")}
    graphs.run(NOW)
    metric.calls = {("web", "api")}
    for hour in range(1, 27):
        graphs.run(NOW + hour * HOUR)
        assert ("old" in graphs.of(house.jobs["shop"]).get("api", [])) == (hour <= 24), hour
    assert CallGraphs(house.store, lambda: house.jobs, metric).of(house.jobs["shop"]) == {
        "batch": ["db"], "web": ["api"]
    }  # fmt: skip


def test_alerts_join_along_counted_calls(house: Any, graphs: CallGraphs, metric: Metric) -> None:
    house.builder = IncidentBuilder(house.store, lambda: house.jobs, graphs=graphs)
    metric.calls = {("web", "api"), ("api", "db"), ("mail", "queue")}
    graphs.run(NOW)
    house.alert("db")
    house.alert("web", 1)
    house.alert("queue", 1)
    house.gather()
    assert sorted(house.groups()) == [["db", "web"], ["queue"]]


@pytest.mark.parametrize(
    ("topology", "problem"),
    [
        ("{label: service}", "name `calls`, or a `metric`"),
        ("{metric: 'sum(rate(x[5m]))'}", "topology.metric"),
        ("{metric: x_total, caller: a, callee: a}", "the same label"),
    ],
)
def test_a_topology_that_says_nothing_usable_is_refused(topology: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        parse_job(JOB.replace("{metric: calls_total, calls: {batch: [db]}, keep: 1d}", topology))


def test_a_metric_needs_a_prometheus() -> None:
    with pytest.raises(ConfigError, match="read from Prometheus, which this job has not"):
        parse_job(JOB.replace("{prometheus: http://localhost:9090}", "{parquet: x.parquet}"))
