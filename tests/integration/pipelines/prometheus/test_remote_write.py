"""Remote write, against the receivers that people run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cramjam
import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.fixtures.prometheus import Faulty, Reply
from tests.servers import servers

from foreshock_models.errors import WriteError
from foreshock_pipelines.jobfile import WriteConfig
from foreshock_pipelines.prometheus.messages import WriteRequest
from foreshock_pipelines.prometheus.remote_write import RemoteWriter, TimeSeries, Written, encode

Start = Callable[..., Faulty]
NAME = "foreshock_anomaly_score"


def writer(url: str, **keys: Any) -> RemoteWriter:
    return RemoteWriter(WriteConfig.model_validate({"url": url, **keys}))


def score(instance: str, times: list[int], values: list[float]) -> TimeSeries:
    return TimeSeries.of(NAME, {"job": "node", "instance": instance}, times, values)


@pytest.fixture(scope="module", params=["prometheus", "victoria-metrics"])
def receiver(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a server that takes remote write and answers queries."""
    folder = tmp_path_factory.mktemp("receiver")
    if request.param == "prometheus":
        with servers.prometheus(folder, args=["--web.enable-remote-write-receiver"]) as url:
            yield url
    else:
        with servers.victoria_metrics(folder) as url:
            yield url


def read(url: str, instance: str, seconds: float = 20) -> list[tuple[int, float]]:
    """All samples of an instance, once there are any."""
    deadline = time.monotonic() + seconds
    while True:
        query = {"query": f'{NAME}{{instance="{instance}"}}[1h]', "time": f"{time.time() + 60:.3f}"}
        result = httpx.get(f"{url}/api/v1/query", params=query).raise_for_status().json()["data"]["result"]
        if result or time.monotonic() > deadline:
            return [(round(t * 1000), float(v)) for one in result for t, v in one["values"]]
        time.sleep(0.2)


def now() -> int:
    return round(time.time()) * 1000


@pytest.mark.prometheus
def test_what_is_written_is_read_back(receiver: str) -> None:
    start = now() - 10_000
    times = [start + i * 1000 for i in range(10)]
    values = [0.1, 0.25, float("nan"), 1.5, -3.0, 1e6, 0.0, 1.0, 2.0, 3.0]
    done = writer(f"{receiver}/api/v1/write").write([score("whole", times, values)])
    assert done == Written(9)
    assert read(receiver, "whole") == [(t, v) for t, v in zip(times, values, strict=True) if v == v]


@pytest.mark.prometheus
def test_a_label_may_hold_any_text(receiver: str) -> None:
    name = 'a "quoted" \\ näme,\nof=two lines'
    writer(f"{receiver}/api/v1/write").write([score(name, [now()], [1.0])])
    query = {"query": f"count by (instance) ({NAME})", "time": f"{time.time() + 5:.3f}"}
    deadline = time.monotonic() + 20
    while True:
        result = httpx.get(f"{receiver}/api/v1/query", params=query).json()["data"]["result"]
        if name in {one["metric"]["instance"] for one in result}:
            return
        assert time.monotonic() < deadline, result
        time.sleep(0.2)


@pytest.mark.prometheus
def test_a_label_name_of_prometheus_3_arrives_by_a_name_that_the_receiver_takes(receiver: str) -> None:
    now = round(time.time() * 1000)
    one = TimeSeries.of("names_test", {"job": "node", "service.name": "cart"}, [now - 1000], [0.5])
    assert writer(f"{receiver}/api/v1/write").write([one]) == Written(1)
    deadline = time.monotonic() + 20
    while not (
        found := httpx.get(f"{receiver}/api/v1/query", params={"query": "names_test"}).json()["data"]["result"]
    ):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    (series,) = found
    series["metric"].pop("__name__")
    assert series["metric"] in ({"job": "node", "service.name": "cart"}, {"job": "node", "service_name": "cart"})


def test_samples_out_of_order_are_refused_alone_and_counted(tmp_path: Path) -> None:
    with servers.prometheus(tmp_path, args=["--web.enable-remote-write-receiver"]) as url:
        to, time_ms = writer(f"{url}/api/v1/write"), now()
        to.write([score("old", [time_ms], [1.0])])
        many = [score(f"new-{i}", [time_ms], [float(i)]) for i in range(40)]
        done = to.write([*many[:13], score("old", [time_ms - 5000], [2.0]), *many[13:]])
        assert (done.samples, done.refused) == (40, 1)
        assert "out of order" in done.reason
        assert read(url, "new-39") == [(time_ms, 39.0)]
        assert read(url, "old") == [(time_ms, 1.0)]


@pytest.mark.prometheus
def test_the_same_again_is_harmless(receiver: str) -> None:
    again = score("again", [now()], [0.5])
    to = writer(f"{receiver}/api/v1/write")
    assert to.write([again]) == to.write([again]) == Written(1)


@pytest.mark.prometheus
def test_a_prometheus_that_takes_no_writes_says_how_to_start_it(tmp_path: Path) -> None:
    with (
        servers.prometheus(tmp_path) as url,
        pytest.raises(WriteError, match=r"404.*--web\.enable-remote-write-receiver"),
    ):
        writer(f"{url}/api/v1/write").write([score("a", [now()], [1.0])])


def test_a_receiver_that_is_down_is_named_without_its_password() -> None:
    url = f"http://user:secret@127.0.0.1:{servers.free_port()}/api/v1/write"
    with pytest.raises(WriteError, match="/api/v1/write: not written") as caught:
        writer(url).write([score("a", [1], [1.0])])
    assert "secret" not in str(caught.value)


def test_a_failure_is_tried_again(faulty: Start) -> None:
    server = faulty(Reply(503), Reply(429), Reply(204, b""))
    assert writer(f"{server.url}/api/v1/write").write([score("a", [1], [1.0])], tries=3) == Written(1)
    assert len(server.methods) == 3


def test_a_redirect_is_not_taken_for_success(faulty: Start) -> None:
    server = faulty(Reply(302, b"", {"Location": "http://127.0.0.1:1/"}))
    with pytest.raises(WriteError, match="HTTP 302"):
        writer(f"{server.url}/api/v1/write").write([score("a", [1], [1.0])])


def test_secrets_go_into_headers(faulty: Start, tmp_path: Path) -> None:
    server = faulty(Reply(204, b""))
    (tmp_path / "token").write_text("t0ken\n")
    writer(f"{server.url}/w", bearer_token_file=tmp_path / "token").write([score("a", [1], [1.0])])
    sent = server.headers[0]
    assert sent["Authorization"] == "Bearer t0ken"
    assert (sent["Content-Encoding"], sent["X-Prometheus-Remote-Write-Version"]) == ("snappy", "0.1.0")


def test_finding_what_is_refused_has_a_bound(faulty: Start) -> None:
    server = faulty(Reply(400, b"no"))
    many = [score(f"i{i}", [1], [1.0]) for i in range(5000)]
    assert writer(f"{server.url}/w").write(many) == Written(0, 5000, "no")
    assert len(server.methods) < 50


def test_a_long_write_goes_in_several_requests(faulty: Start) -> None:
    server = faulty(Reply(204, b""))
    long = score("a", list(range(25_000)), [1.0] * 25_000)
    assert writer(f"{server.url}/w").write([long, long]) == Written(50_000)
    assert len(server.methods) == 5


text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@given(
    st.dictionaries(text, text, max_size=4),
    st.lists(st.tuples(st.integers(-(2**62), 2**62), st.floats(allow_nan=False)), max_size=5),
)
def test_decoding_what_was_encoded_gives_it_back(labels: dict[str, str], samples: list[tuple[int, float]]) -> None:
    one = TimeSeries(
        labels, np.array([t for t, _ in samples], np.int64), np.array([v for _, v in samples], np.float64)
    )
    request = WriteRequest.FromString(bytes(cramjam.snappy.decompress_raw(encode([one]))))
    (series,) = request.timeseries
    assert [(la.name, la.value) for la in series.labels] == sorted(labels.items())
    assert [(s.timestamp, s.value) for s in series.samples] == samples


@pytest.mark.parametrize("url", ["http://localhost:9090", "http://localhost:9090/", "localhost:9090/api/v1/write"])
def test_an_address_that_is_not_whole_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match=r"whole address|URL"):
        WriteConfig(url=url)
