from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from tests.fixtures.prometheus import Faulty, Reply, make_job
from tests.servers import servers

from foreshock_models.errors import QueryError, SourceUnavailable
from foreshock_pipelines.datasets.windows import Windows
from foreshock_pipelines.prometheus.source import PrometheusSource

STEP = 60
BASE = int(time.time()) // STEP * STEP - 10 * STEP
"""Ten minutes ago; the small server holds samples of four hours, so that some are of now in a long test run."""

Start = Callable[..., Faulty]
MIMIR = "the query time range exceeds the limit (query length: 47h0m0s, limit: 4h0m0s)"


def at(point: int) -> datetime:
    return datetime.fromtimestamp(BASE + point * STEP, UTC)


def lines(series: str, values: dict[int, Any]) -> list[str]:
    return [f"{series} {value} {BASE + point * STEP}" for point, value in values.items()]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus with one metric for each thing that may be odd about series."""
    whole = dict.fromkeys(range(240), 1)
    metrics = {
        "cpu": [('cpu{instance="a"}', {i: i for i in range(240)}), ('cpu{instance="b"}', {3: 3, 4: 4, 5: 5})],
        "odd": [('odd{instance="a"}', {0: "NaN", 1: "+Inf", 2: "-Inf", 3: "1.2e-05", 4: -4})],
        "disk": [('disk{instance="a",device="sda"}', whole), ('disk{instance="a",device="sdb"}', whole)],
        "moved": [
            ('moved{instance="a",pod="x"}', dict.fromkeys(range(5), 1)),
            ('moved{instance="a",pod="y"}', dict.fromkeys(range(5, 10), 2)),
        ],
        "nameless": [('nameless{job="node"}', whole)],
        "pods": [(f'pods{{namespace="{n}",pod="{p}"}}', whole) for n, p in (("shop", "cart"), ("shop", "pay"))],
    }
    text = [
        line
        for name, series in metrics.items()
        for line in [f"# TYPE {name} gauge", *(x for labels, values in series for x in lines(labels, values))]
    ]
    folder = tmp_path_factory.mktemp("small")
    with servers.prometheus(
        folder, windows="\n".join([*text, "# EOF\n"]), args=["--query.lookback-delta=59s999ms"]
    ) as url:
        yield url


def read(url: str, queries: dict[str, Any], first: int = 0, last: int = 9, **keys: Any) -> Windows:
    return PrometheusSource(make_job(url, queries, step="60s", **keys)).read(at(first), at(last))


def column(windows: Windows, feature: str, entity: str = "a") -> list[float | None]:
    return list(windows.select([entity]).table.column(feature).to_pylist())


def fleet_job(url: str, fleet: Windows, **keys: Any) -> Any:
    return make_job(url, {name: name for name in fleet.features}, step=f"{STEP}s", **keys)


# -- what is stored is what is read ------------------------------------------------------------------------
@pytest.mark.prometheus
def test_all_samples_of_a_fleet_come_back_as_they_were_written(fleet_prometheus: str, fleet: Windows) -> None:
    got = PrometheusSource(fleet_job(fleet_prometheus, fleet)).read(fleet.start, fleet.end)
    assert got.table.equals(fleet.table)
    assert (got.job, got.step, got.labels) == ("test", 60.0, ("instance",))
    assert got.queries == {name: name for name in fleet.features}


@pytest.mark.prometheus
def test_victoria_metrics_gives_the_same_samples(fleet_victoria_metrics: str, fleet: Windows) -> None:
    got = PrometheusSource(fleet_job(fleet_victoria_metrics, fleet)).read(fleet.start, fleet.end).to_panel()
    want = fleet.to_panel()
    assert got.entities == want.entities
    there = ~np.isnan(want.values)
    np.testing.assert_allclose(got.values[there], want.values[there], rtol=1e-9)


@pytest.mark.prometheus
@pytest.mark.parametrize("max_points", [97, 500, 1439, 1440])
def test_a_read_in_chunks_is_the_whole_read(fleet_prometheus: str, fleet: Windows, max_points: int) -> None:
    job = fleet_job(fleet_prometheus, fleet)
    span = fleet.start, fleet.end
    assert PrometheusSource(job, max_points=max_points).read(*span) == PrometheusSource(job).read(*span)


@pytest.mark.prometheus
def test_what_the_server_finds_too_much_is_asked_for_in_halves(
    fleet: Windows, fleet_prometheus: str, tmp_path: Any
) -> None:
    span = fleet.start, fleet.end
    with servers.prometheus(
        tmp_path, windows=fleet, args=["--query.lookback-delta=59s999ms", "--query.max-samples=2000"]
    ) as url:
        got = PrometheusSource(fleet_job(url, fleet)).read(*span)
    assert got == PrometheusSource(fleet_job(fleet_prometheus, fleet)).read(*span)


@pytest.mark.prometheus
@pytest.mark.parametrize("limit", ["maxPointsPerTimeseries", "maxSamplesPerSeries"])
def test_limits_of_victoria_metrics_are_kept_to(
    fleet: Windows, fleet_victoria_metrics: str, tmp_path: Any, limit: str
) -> None:
    span = fleet.start, fleet.start + timedelta(hours=12)
    with servers.victoria_metrics(tmp_path, windows=fleet, args=[f"-search.{limit}=300"]) as url:
        got = PrometheusSource(make_job(url, {"cpu": "cpu"}, step="60s")).read(*span)
    want = PrometheusSource(make_job(fleet_victoria_metrics, {"cpu": "cpu"}, step="60s")).read(*span)
    there = ~np.isnan(want.to_panel().values)
    np.testing.assert_allclose(got.to_panel().values[there], want.to_panel().values[there], rtol=1e-9)


def test_a_limit_on_the_range_of_a_query_is_kept_to(faulty: Start) -> None:
    """As Mimir has it: a fixed number of hours, whatever the step."""
    asked: list[float] = []

    def act(handler: BaseHTTPRequestHandler) -> None:
        form = server.forms[-1]
        start, end = float(form["start"][0]), float(form["end"][0])
        body: dict[str, Any] = {"status": "error", "errorType": "bad_data", "error": MIMIR}
        if end - start <= 4 * 3600:
            asked.append(end - start)
            times = range(round(start), round(end) + 1, 3600)
            result = [{"metric": {"instance": "a"}, "values": [[t, str(t)] for t in times]}]
            body = {"status": "success", "data": {"resultType": "matrix", "result": result}}
        text = orjson.dumps(body)
        handler.send_response(200 if asked and "data" in body else 422)
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)

    server = faulty(Reply(act=act))
    job = make_job(server.url, step="1h", source={"parallel": 1})
    start = datetime(2026, 3, 1, tzinfo=UTC)
    got = PrometheusSource(job).read(start, start + timedelta(hours=47))
    assert column(got, "cpu") == [start.timestamp() + 3600 * i for i in range(48)]
    assert max(asked) <= 4 * 3600


def test_a_limit_that_no_split_keeps_to_is_an_error_after_few_requests(faulty: Start) -> None:
    server = faulty(Reply(422, orjson.dumps({"status": "error", "error": MIMIR})))
    with pytest.raises(QueryError, match="query time range exceeds the limit"):
        job = make_job(server.url, {"cpu": "cpu"}, step="60s", source={"parallel": 1})
        PrometheusSource(job).read(at(0), at(9_000))
    assert len(server.methods) < 50


@pytest.mark.prometheus
def test_progress_counts_the_parts(fleet_prometheus: str, fleet: Windows) -> None:
    seen: list[tuple[int, int]] = []
    source = PrometheusSource(fleet_job(fleet_prometheus, fleet), max_points=720)
    source.read(fleet.start, fleet.end, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 12) for i in range(1, 13)]


@pytest.mark.prometheus
def test_times_are_put_on_the_grid_since_the_epoch(small: str) -> None:
    job = make_job(small, step="60s")
    got = PrometheusSource(job).read(at(1) - timedelta(seconds=1), at(4) + timedelta(seconds=59))
    assert (got.start, got.end) == (at(1), at(4))


# -- odd series ------------------------------------------------------------------------------------------
@pytest.mark.prometheus
def test_a_series_that_appears_and_vanishes_is_null_elsewhere(small: str) -> None:
    got = read(small, {"cpu": "cpu"})
    assert column(got, "cpu", "a") == list(range(10))
    assert column(got, "cpu", "b") == [None] * 3 + [3, 4, 5] + [None] * 4


@pytest.mark.prometheus
def test_a_target_that_died_is_stale_at_once(tmp_path: Any) -> None:
    """Prometheus marks its series at the next scrape, long before the five minutes of look-back are over."""
    with contextlib.ExitStack() as until_dead:
        target = until_dead.enter_context(servers.node_exporter(tmp_path / "node"))
        with servers.prometheus(tmp_path / "prometheus", scrape=target) as url:
            clock = f'label_replace(vector(1), "instance", "{target}", "", "")'
            source = PrometheusSource(make_job(url, {"load": "node_load1", "clock": clock}, step="1s"))

            def newest() -> list[float | None]:
                windows = source.read(source.latest() - timedelta(seconds=20), source.latest())
                return column(windows, "load", target)

            _wait_until(lambda: newest()[-1] is not None)
            until_dead.close()
            _wait_until(lambda: newest()[-1] is None)
            assert any(value is not None for value in newest())


def _wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.prometheus
def test_nan_and_infinity_become_null(small: str) -> None:
    assert column(read(small, {"odd": "odd"}, 0, 4), "odd") == [None, None, None, 1.2e-05, -4]


@pytest.mark.prometheus
def test_values_outside_of_the_valid_range_become_null(small: str) -> None:
    got = read(small, {"cpu": {"query": "cpu", "valid_range": [2, 7]}})
    assert column(got, "cpu") == [None, None, 2, 3, 4, 5, 6, 7, None, None]


@pytest.mark.prometheus
def test_series_of_one_entity_after_one_another_are_one(small: str) -> None:
    assert column(read(small, {"moved": "moved"}), "moved") == [1] * 5 + [2] * 5


@pytest.mark.prometheus
def test_several_series_for_one_entity_are_refused_naming_the_label(small: str) -> None:
    with pytest.raises(QueryError, match=r"^disk: .*several series for one entity: they differ in device \("):
        read(small, {"disk": "disk"})


@pytest.mark.prometheus
def test_a_series_without_the_entity_label_is_refused_naming_it(small: str) -> None:
    with pytest.raises(QueryError, match=r"^nameless: .*without the entity label 'instance'.*Allowed: job"):
        read(small, {"nameless": "nameless"})


@pytest.mark.prometheus
def test_several_labels_name_an_entity(small: str) -> None:
    got = read(small, {"pods": "pods"}, entity=["namespace", "pod"])
    assert got.entities == ("namespace=shop,pod=cart", "namespace=shop,pod=pay")


@pytest.mark.prometheus
def test_a_query_without_series_is_a_column_of_nulls(small: str) -> None:
    got = read(small, {"cpu": "cpu", "absent": "no_such_metric"})
    assert column(got, "absent") == [None] * 10
    assert got.features == ("cpu", "absent")


@pytest.mark.prometheus
def test_no_series_at_all_is_an_error_that_names_the_job(small: str) -> None:
    with pytest.raises(QueryError, match=rf"no query of the job 'test' gave a series .*{small}"):
        read(small, {"one": "no_such_metric", "two": "nor_this"})


@pytest.mark.prometheus
def test_a_wrong_query_is_named_with_prometheus_own_words(small: str) -> None:
    with pytest.raises(QueryError, match=r"^broken: .* refused the query 'sum\(': HTTP 400: .*parse error"):
        read(small, {"cpu": "cpu", "broken": "sum("})


def test_of_several_samples_on_one_point_the_last_counts_in_any_order(faulty: Start) -> None:
    pairs = [[BASE + 120, "3"], [BASE, "1"], [BASE + 60, "2"], [BASE, "9"]]
    result = [{"metric": {"instance": "a"}, "values": pairs}]
    server = faulty(Reply(body=orjson.dumps({"data": {"resultType": "matrix", "result": result}})))
    assert column(read(server.url, {"cpu": "cpu"}, 0, 2), "cpu") == [9, 2, 3]


def test_a_read_stops_all_requests_when_one_fails(faulty: Start) -> None:
    server = faulty(Reply(400, b'{"status":"error","error":"no"}'), Reply(503, headers={"Retry-After": "30"}))
    job = make_job(server.url, {f"q{i}": "up" for i in range(20)}, step="60s", source={"retries": 5})
    began = time.monotonic()
    with pytest.raises(QueryError, match="HTTP 400: no"):
        PrometheusSource(job).read(at(0), at(9))
    assert time.monotonic() - began < 5
    assert len(server.methods) < 20


# -- partial answers ---------------------------------------------------------------------------------------
def partial(*hosts: str) -> Reply:
    result = [{"metric": {"instance": host}, "values": [[BASE, "1"]]} for host in hosts]
    data = {"resultType": "matrix", "result": result}
    return Reply(body=orjson.dumps({"status": "success", "data": data, "warnings": ["store-2 is down"]}))


def test_windows_of_a_partial_answer_say_so_wherever_they_go(faulty: Start, tmp_path: Path) -> None:
    got = read(faulty(partial("a", "b")).url, {"cpu": "cpu"})
    assert got.partial == ("store-2 is down",)
    assert "partial answer: store-2 is down" in repr(got)
    got.write_parquet(tmp_path / "w.parquet")
    saved = Windows.read_parquet(tmp_path / "w.parquet")
    for same in (saved, got.between(at(0)), got.select(["a"]), got.keep(["cpu"]), Windows.concat([got, got])):
        assert same.partial == got.partial


def test_windows_of_whole_answers_are_not_partial(faulty: Start) -> None:
    result = [{"metric": {"instance": "a"}, "values": [[BASE, "1"]]}]
    body = orjson.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}, "infos": ["x"]})
    assert read(faulty(Reply(body=body)).url, {"cpu": "cpu"}).partial == ()


def test_a_partial_answer_without_any_series_is_a_source_that_is_down(faulty: Start) -> None:
    """It is not the same as no series: nothing may be concluded from it."""
    with pytest.raises(SourceUnavailable, match="partial answer without any series: store-2 is down"):
        read(faulty(partial()).url, {"cpu": "cpu"})


@pytest.mark.parametrize(("own", "refused"), [(None, True), ("refuse", True), ("accept", False)])
def test_a_source_may_refuse_partial_answers_unless_the_job_takes_them(
    faulty: Start, own: str | None, refused: bool
) -> None:
    job = make_job(faulty(partial("a")).url, step="60s", source={"partial": own})
    source = PrometheusSource(job, partial="refuse")
    if refused:
        with pytest.raises(SourceUnavailable, match="partial answer: store-2 is down"):
            source.read(at(0), at(9))
    else:
        assert source.read(at(0), at(9)).partial == ("store-2 is down",)


# -- at present ------------------------------------------------------------------------------------------
@pytest.mark.prometheus
def test_entities_are_counted_without_reading_samples(small: str) -> None:
    job = make_job(small, {"cpu": "cpu # of a host", "disk": "disk", "absent": "no_such_metric"})
    assert PrometheusSource(job).discover() == {"cpu": 1, "disk": 1, "absent": 0}


def test_the_latest_time_is_now_down_to_the_grid() -> None:
    before = datetime.now(UTC)
    latest = PrometheusSource(make_job("http://localhost:1", step="30s")).latest()
    assert latest.timestamp() % 30 == 0
    assert before - timedelta(seconds=30) < latest <= datetime.now(UTC)


@pytest.mark.prometheus
def test_a_server_that_answers_passes_the_check(small: str) -> None:
    PrometheusSource(make_job(small)).check()


def test_a_server_that_is_down_fails_the_check() -> None:
    with pytest.raises(SourceUnavailable, match="Connection refused"):
        PrometheusSource(make_job(f"http://127.0.0.1:{servers.free_port()}")).check()


def test_a_web_page_fails_the_check_with_the_url(faulty: Start) -> None:
    server = faulty(Reply(body=b"<html>Sign in</html>"))
    with pytest.raises(SourceUnavailable, match=rf"{server.url}: the response is not Prometheus'"):
        PrometheusSource(make_job(server.url)).check()
