"""Windows of a JSON body: the rows of all of them are counted before one is filled."""

from __future__ import annotations

import json
import resource
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from foreshock.api.bodies import panel_of_bodies
from foreshock.api.fast_path.json_panel import fast_panel
from foreshock.api.schemas import ScoreRequest
from foreshock_models.errors import DataError
from foreshock_models.panel import Panel

START = datetime(2026, 3, 2, tzinfo=UTC)
FEATURES = ("cpu", "memory")
SERVED: Any = SimpleNamespace(labels=("instance",), step=60.0, detector=SimpleNamespace(features_in_=FEATURES))


def window(entity: str, *minutes: int) -> dict[str, Any]:
    times = [f"{START + timedelta(minutes=m):%Y-%m-%dT%H:%M:%SZ}" for m in minutes]
    return {"entity": entity, "timestamps": times, "values": {f: [1.0] * len(times) for f in FEATURES}}


def panel(*windows: dict[str, Any]) -> Panel:
    return panel_of_bodies(SERVED, ScoreRequest.model_validate({"job": "demo", "windows": windows}).windows)


@pytest.mark.parametrize(
    "windows",
    [
        [window("a", 0, 999_999)],
        [window(f"host-{i}", 0, 999_999) for i in range(12)],
        [window(f"host-{i}", 0, 100_000) for i in range(12)],
        [window(f"host-{i}", 0, 40) for i in range(9_999)],
    ],
    ids=["one long", "many long", "many not so long", "very many"],
)
def test_what_a_small_body_would_become_is_refused_before_it_is_built(windows: list[dict[str, Any]]) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if len(windows) < 9_999:
        with pytest.raises(DataError, match=r"rows span [\d,]+ steps of 60 s over all entities"):
            panel(*windows)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # kB
    else:  # 410 thousand rows of 20 thousand that were given are no more than gaps
        assert panel(*windows).n_rows == 9_999 * 41


def test_both_ways_of_reading_refuse_the_same_spans() -> None:
    """The short way leaves to the schema what it does not fill."""
    for minutes in (333_331, 333_332, 333_333, 333_334):
        one = window("a", 0, minutes)
        body = {"job": "demo", "windows": [one]}
        short = fast_panel(SERVED, body, json.dumps(body).encode())
        if short is None:
            with pytest.raises(DataError):
                panel(one)
        else:
            np.testing.assert_array_equal(short.values, panel(one).values)
    assert short is None


@pytest.mark.parametrize(
    "times",
    [
        ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"],
        ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"],
        [-62_135_596_800, 253_402_300_799],
        [0, 1_772_445_600],
    ],
)
def test_times_at_both_ends_of_the_calendar_are_refused(times: list[Any]) -> None:
    with pytest.raises(DataError, match="span"):
        panel({**window("a", 0, 1), "timestamps": times})


def test_an_entity_that_is_given_twice_is_named() -> None:
    with pytest.raises(DataError, match="'b' is given twice"):
        panel(window("a", 0), window("b", 0), window("b", 5))
