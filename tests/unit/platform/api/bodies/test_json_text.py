"""JSON bodies: every wrong one is 422 and says why, in bounded time and memory."""

from __future__ import annotations

import json
import resource
import time
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshock.api.bodies.json_text import checked, count_colons, json_value, refuse_repeated_keys
from foreshock.api.errors import Problem
from foreshock.api.schemas import ExplainRequest, ScoreRequest, TrainRequest

TIMES = ["2026-03-02T12:00:00Z", "2026-03-02T12:01:00Z"]
WINDOW: dict[str, Any] = {"entity": "a", "timestamps": TIMES, "values": {"cpu": [0.5, None]}}
BODY = {"job": "demo", "windows": [WINDOW], "last": 1}


def read(data: bytes) -> None:
    value = json_value(data)
    refuse_repeated_keys(data, value)
    checked(ScoreRequest, value)


def refused(data: bytes, text: str = ".") -> Problem:
    with pytest.raises(Problem, match=text) as found:
        read(data)
    assert found.value.status == 422
    assert found.value.errors is None or len(found.value.errors) <= 20
    return found.value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"), ("{", "not JSON"), ('{"job": "demo"} x', "not JSON"), ("\0", "not JSON"),
        ("'a'", "not JSON"),
        ('{"job": NaN}', "write null for a gap"), ('{"job": -Infinity}', "write null for a gap"),
        ('{"last": 1e400}', "not JSON"), ("[" * 5000, "not JSON"), ("[" * 1000 + "]" * 1000, "dictionary|deep"),
        ('{"a":' * 900 + "1" + "}" * 900, "job"), ('"\\ud800"', "not JSON"),
        ("null", "valid dictionary"), ("[]", "valid dictionary"), ('"job"', "valid dictionary"),
        ("1", "valid dictionary"),
    ],
)  # fmt: skip
def test_a_text_that_is_no_body_is_refused(text: str, said: str) -> None:
    refused(text.encode(), said)
    refused(text.encode("utf-16"), "not JSON")


@pytest.mark.parametrize(
    "text",
    [
        '{"job": "demo", "job": "other", "windows": []}',
        '{"job": "demo", "windows": [{"timestamps": [60], "values": {"cpu": [1], "cpu": [2]}}]}',
        '{"job": "demo", "windows": [{"timestamps": [60], "values": {"cpu": [1], "c\\u0070u": [2]}}]}',
        '{"a": [{"b": [[{"x": 1, "x" : 1}]]}]}',
        '{"windows": [{"values" : {}, "values": {}, "entity": "1:2:3:4:5"}]}',
    ],
)
def test_a_key_that_is_given_twice_is_named(text: str) -> None:
    data = text.encode()
    with pytest.raises(Problem, match=r"the key '\w+' is given twice"):
        refuse_repeated_keys(data, json_value(data))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)  # fmt: skip


@given(JSON, st.sampled_from([(",", ":"), (" , ", " : ")]))
def test_a_value_has_the_colons_of_its_text(value: Any, separators: tuple[str, str]) -> None:
    data = json.dumps(value, separators=separators, ensure_ascii=False).encode()
    assert count_colons(orjson.loads(data)) == data.count(b":")
    refuse_repeated_keys(data, orjson.loads(data))


def test_an_escaped_colon_is_no_repeated_key() -> None:
    read(json.dumps(BODY).replace('"a"', '"web\\u003a9100"').encode())


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"job": 1}, "job"), ({"job": None}, "job"), ({"last": 0}, "last"), ({"last": "many"}, "last"),
    ({"last": 10**30}, "last"), ({"windows": {}}, "windows"), ({"windows": [[]]}, "windows"), ({"more": 1}, "more"),
    ({"windows": [{**WINDOW, "timestamps": "now"}]}, "timestamps"),
    ({"windows": [{**WINDOW, "timestamps": ["noon"]}]}, "timestamps"),
    ({"windows": [{**WINDOW, "timestamps": [10**30]}]}, "timestamps"),
    ({"windows": [{**WINDOW, "timestamps": [None]}]}, "timestamps"),
    ({"windows": [{**WINDOW, "values": {"cpu": ["1"]}}]}, "cpu"),
    ({"windows": [{**WINDOW, "values": {"cpu": [True]}}]}, "cpu"),
    ({"windows": [{**WINDOW, "values": {"cpu": [[1]]}}]}, "cpu"),
    ({"windows": [{**WINDOW, "values": []}]}, "values"),
    ({"windows": [{**WINDOW, "entity": 1}]}, "entity"), ({"windows": [{**WINDOW, "entity": {"a": 1}}]}, "entity"),
    ({"windows": [WINDOW] * 10_001}, "windows"),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "where"), WRONG)
def test_a_value_of_another_kind_is_named(changed: dict[str, Any], where: str) -> None:
    problem = refused(json.dumps({**BODY, **changed}).encode())
    assert where in problem.detail


BOMBS = {
    "lists": b'{"job": "demo", "windows": [' + b"[]," * 3_000_000 + b"[]]}",
    "objects": b'{"job": "demo", "windows": [' + b"{}," * 1_500_000 + b"{}]}",
    "wrong numbers": b'{"job":"demo","windows":[{"timestamps":[1],"values":{"c":['
    + b'"",' * 3_000_000 + b'""]}}]}',
    "wrong times": b'{"job":"demo","windows":[{"timestamps":[' + b'"",' * 3_000_000 + b'""],"values":{"c":[1]}}]}',
    "unknown keys": b'{"job": "demo"' + b"".join(b',"k%d":1' % i for i in range(500_000)) + b"}",
    "wrong features": b'{"job":"demo","windows":[{"timestamps":[1],"values":{"a":1'
    + b"".join(b',"k%d":1' % i for i in range(500_000)) + b"}}]}",
    "wrong labels": b'{"job":"demo","windows":[{"timestamps":[1],"values":{"a":[1]},"entity":{"a":1'
    + b"".join(b',"k%d":1' % i for i in range(500_000)) + b"}}]}",
    "repeated keys": b'{"job": "demo"' + b',"k":1' * 500_000 + b"}",
    "a long key": b'{"job": "demo", "' + b"x" * 9_000_000 + b'": 1}',
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_body_with_millions_of_mistakes_costs_little(name: str) -> None:
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    refused(BOMBS[name])
    assert time.process_time() - began < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # kB


def test_other_bodies_are_bounded_alike() -> None:
    for model in (TrainRequest, ExplainRequest):
        with pytest.raises(Problem) as found:
            checked(model, {f"k{i}": 1 for i in range(1000)})
        assert "1000 keys in one object" in found.value.detail
