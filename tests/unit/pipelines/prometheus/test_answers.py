"""What servers say beside a result, in the words of each kind of server."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from foreshock_pipelines.prometheus.answers import error_of, is_too_much, partial_reasons

STORE = (
    "receive series from Addr: 10.0.0.2:10901 LabelSets: {} MinTime: 1: rpc error: code = Unavailable desc = down"
)


def answer(result: list[Any] | None = None, **more: Any) -> bytes:
    return orjson.dumps({"status": "success", **more, "data": {"resultType": "matrix", "result": result or []}})


@pytest.mark.parametrize(
    "text",
    [
        STORE,
        "No StoreAPIs matched for this query",
        "fetch series for {cluster=eu}: rpc error: code = Aborted desc = fetch chunks failed",
        "remote_read: remote server http://10.0.0.2/read returned HTTP status 503 Service Unavailable",
        "The query result may contain partial data.",
        "partial response: store gateway timed out",
    ],
)
def test_a_warning_about_data_makes_an_answer_partial(text: str) -> None:
    assert partial_reasons(answer(warnings=[text])) == (text,)


def test_the_flag_of_victoria_metrics_makes_an_answer_partial() -> None:
    assert partial_reasons(answer(isPartial=True)) == ("a part of the data could not be read (isPartial)",)
    spaced = answer(isPartial=True).replace(b'"isPartial":true', b'"isPartial" : true')
    assert partial_reasons(spaced)


def test_warnings_say_more_than_the_flag() -> None:
    assert partial_reasons(answer(isPartial=True, warnings=[STORE, STORE])) == (STORE,)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"isPartial": False},
        {"warnings": None},
        {"warnings": []},
        {"infos": ["PromQL info: metric might not be a counter, name does not end in _total: cpu"]},
        {"infos": [STORE]},
        {"warnings": ["PromQL warning: quantile value should be between 0 and 1, got 2"]},
        {"warnings": ["PromQL warning: bucket label missing", "3 more warning annotations omitted"]},
        {"stats": {"seriesFetched": "3", "executionTimeMsec": 2}},
    ],
)
def test_remarks_about_the_query_do_not(more: dict[str, Any]) -> None:
    assert partial_reasons(answer(**more)) == ()


@pytest.mark.parametrize("name", ["warnings", "isPartial", "partial"])
@pytest.mark.parametrize("value", ["true", '["a store is down"]', '"warnings":["x"]', '"isPartial":true'])
def test_labels_cannot_make_an_answer_partial(name: str, value: str) -> None:
    series = {"metric": {name: value, "a": f"{name}: {value}"}, "values": [[1, "1"]]}
    assert partial_reasons(answer([series])) == ()


def test_a_long_list_of_warnings_is_partial_too() -> None:
    (first, *_) = partial_reasons(answer(warnings=["store is down " * 10_000]))
    assert "store is down" in first


# -- errors with a status of success ---------------------------------------------------------------------
@pytest.mark.parametrize(
    ("body", "want"),
    [
        ({"status": "error", "errorType": "execution", "error": "too slow"}, ("execution", "too slow")),
        ({"status": "error", "error": "no"}, ("", "no")),
        ({"status": "error", "data": None}, ("", "no message")),
        ({"error": "unauthorised"}, ("", "unauthorised")),
        ({"status": "success", "data": {"resultType": "matrix", "result": []}}, None),
        ({"status": "success", "data": {"resultType": "vector", "result": []}, "error": ""}, None),
        ({"message": "hello"}, None),
        ([1], None),
    ],
)
def test_an_error_with_a_status_of_success_keeps_its_text(body: Any, want: Any) -> None:
    assert error_of(orjson.dumps(body)) == want


# -- limits ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("status", "text"),
    [
        (400, "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution"),
        (422, "query processing would load too many samples into memory in query execution"),
        (422, "the query time range exceeds the limit (query length: 768h0m0s, limit: 721h0m0s)"),
        (422, "the total query time range exceeds the limit (query length: 9000h0m0s, limit: 8760h0m0s) "
              "(err-mimir-max-total-query-length)"),
        (422, "the query exceeded the maximum number of chunks (limit: 2000000 chunks) "
              "(err-mimir-max-chunks-per-query)"),
        (422, "the query exceeded the aggregated chunks size limit (limit: 1 bytes)"),
        (422, "the query exceeded the maximum number of series (limit: 100000 series)"),
        (422, "the query hit the max number of chunks limit (limit: 2000000 chunks)"),
        (422, "expanded matching postings: exceeded series limit: limit 1000 violated (got 1200)"),
        (500, "rpc error: code = ResourceExhausted desc = grpc: received message larger than max (9 vs. 4)"),
        (422, "too many points for the given step=60000, start=1 and end=2: 1440; cannot exceed "
              "-search.maxPointsPerTimeseries=100"),
        (422, "cannot select more than -search.maxSamplesPerQuery=1000 samples"),
        (422, "cannot process more than 50 samples per series; either increase -search.maxSamplesPerSeries or "
              "reduce time range for the query"),
        (422, "not enough memory for processing 3 data points across 2 time series; total available memory for "
              "concurrent requests: 1 bytes"),
        (413, "Request Entity Too Large"),
    ],
)  # fmt: skip
def test_a_limit_asks_for_a_smaller_request(status: int, text: str) -> None:
    assert is_too_much(status, text)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (400, "parse error: unexpected end of input"),
        (422, "found duplicate series for the match group"),
        (429, "the request has been rejected because the tenant exceeded the request rate limit"),
        (429, "too many outstanding requests"),
        (500, "expanding series: context deadline exceeded"),
        (422, "query timed out in expression evaluation"),
        (503, "too many queries exceed the limit of concurrent queries"),
        (503, "couldn't start executing the request in 10.000 seconds, since -search.maxConcurrentRequests=8"),
        (401, "quota exceeded"),
        (None, ""),
    ],
)
def test_another_error_does_not(status: int | None, text: str) -> None:
    assert not is_too_much(status, text)
