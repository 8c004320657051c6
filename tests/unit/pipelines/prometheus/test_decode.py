from __future__ import annotations

import math

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreshock_models.errors import QueryError, SourceUnavailable
from foreshock_pipelines.prometheus.decode import decode, decode_instant


def response(series: list[tuple[dict[str, str], list[tuple[float, str]]]], **more: object) -> bytes:
    result = [{"metric": labels, "values": [list(pair) for pair in pairs]} for labels, pairs in series]
    return orjson.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}, **more})


HOST = {"__name__": "cpu", "instance": "web-1:9100"}
BODY = response([(HOST, [(1700000000, "0.5"), (1700000060.5, "2")]), ({"instance": "b"}, [(1700000000, "7")])])

labels = st.dictionaries(
    st.text(min_size=1, max_size=8),
    st.one_of(st.text(max_size=12), st.sampled_from(['"values":[[', "]]", "],[", '1,"2"', "\\", "\n"])),
    max_size=3,
)
samples = st.lists(
    st.tuples(st.integers(0, 4_000_000_000_000), st.floats(allow_nan=False, allow_infinity=False)),
    min_size=1,
    max_size=5,
)


@settings(deadline=None)  # says nothing on a busy machine
@given(st.lists(st.tuples(labels, samples), max_size=4))
def test_what_was_encoded_is_decoded(sent: list[tuple[dict[str, str], list[tuple[int, float]]]]) -> None:
    got = decode(response([(names, [(t / 1000, repr(v)) for t, v in pairs]) for names, pairs in sent]))
    assert got.labels == [names for names, _ in sent]
    assert got.counts.tolist() == [len(pairs) for _, pairs in sent]
    assert got.timestamps.tolist() == [t for _, pairs in sent for t, _ in pairs]
    assert got.values.tolist() == [v for _, pairs in sent for _, v in pairs]


def test_no_result_gives_no_series() -> None:
    got = decode(response([]))
    assert (got.labels, len(got.counts), len(got.values)) == ([], 0, 0)


@pytest.mark.parametrize("text", ["NaN", "+Inf", "-Inf", "Inf", "1e999"])
def test_what_is_no_finite_number_becomes_a_gap(text: str) -> None:
    got = decode(response([(HOST, [(1700000000, text), (1700000060, "1")])]))
    assert math.isnan(got.values[0])
    assert got.values[1] == 1


def test_a_series_of_gaps_alone_keeps_its_samples() -> None:
    got = decode(response([(HOST, [(1700000000, "NaN"), (1700000060, "NaN")])]))
    assert got.counts.tolist() == [2]
    assert np.isnan(got.values).all()


@pytest.mark.parametrize("text", ["1.2e-05", "1E+21", "-0", "100000000000000000000", "0.000000000000404814020502"])
def test_numbers_are_read_in_every_notation(text: str) -> None:
    assert decode(response([(HOST, [(1700000000, text)])])).values[0] == float(text)


def test_times_keep_their_milliseconds() -> None:
    assert decode(BODY).timestamps.tolist() == [1700000000000, 1700000060500, 1700000000000]


@pytest.mark.parametrize("length", range(1, len(BODY)))
def test_a_response_that_was_cut_anywhere_is_noticed(length: int) -> None:
    with pytest.raises(SourceUnavailable, match="was cut"):
        decode(BODY[:length])


def test_a_response_with_spaces_gives_the_same() -> None:
    spaced = orjson.dumps(orjson.loads(BODY), option=orjson.OPT_INDENT_2)
    half = BODY.replace(b"],[", b"], [")
    for body in (spaced, half):
        got = decode(body)
        assert got.labels == decode(BODY).labels
        assert got.timestamps.tolist() == decode(BODY).timestamps.tolist()
        assert got.values.tolist() == decode(BODY).values.tolist()


def test_warnings_of_the_server_are_no_error() -> None:
    body = response([(HOST, [(1700000000, "1")])], warnings=["a store did not answer"], isPartial=False)
    assert decode(body).values.tolist() == [1]


def test_a_web_page_in_place_of_a_response_is_named() -> None:
    with pytest.raises(SourceUnavailable, match=r"not Prometheus': it begins with '<html>"):
        decode(b"<html><body>Sign in</body></html>")


def test_json_of_something_else_is_named() -> None:
    with pytest.raises(SourceUnavailable, match="not Prometheus': it has no result"):
        decode(b'{"message": "hello"}')


def test_native_histograms_are_refused_with_what_to_do() -> None:
    body = orjson.dumps(
        {"data": {"resultType": "matrix", "result": [{"metric": HOST, "histograms": [[1, {"count": "1"}]]}]}}
    )
    with pytest.raises(QueryError, match=r"native histograms.*histogram_quantile"):
        decode(body)


def test_an_instant_answer_that_is_no_vector_is_refused() -> None:
    with pytest.raises(QueryError, match="gives a scalar"):
        decode_instant(b'{"data":{"resultType":"scalar","result":[1700000000,"1"]}}')
