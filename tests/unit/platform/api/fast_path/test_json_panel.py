"""A body that is read the short way is read as the schema reads it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshock.api.bodies import panel_of_bodies
from foreshock.api.fast_path.json_panel import fast_panel as plain
from foreshock.api.schemas import ScoreRequest
from foreshock_models.panel import Panel

TIMES = ["2026-03-01T23:59:00Z", "2026-03-02T00:00:00Z", "2026-03-02T00:00:59Z", "2026-03-02T00:05:00Z"]
WINDOW: dict[str, Any] = {
    "entity": "a",
    "timestamps": TIMES,
    "values": {"cpu": [1, None, 0.5, -2.5e3], "memory": [0.25, 0.5, 0.75, None]},
}
PLAIN = {"job": "demo", "windows": [WINDOW], "last": 1}


@dataclass(frozen=True)
class Served:
    """What of a served model the reading of a body looks at."""

    labels: tuple[str, ...] = ("instance",)
    step: float = 60.0
    detector: Any = field(default_factory=lambda: SimpleNamespace(features_in_=("memory", "cpu")))


def fast_panel(served: Served, value: Any) -> Panel | None:
    return plain(served, value, json.dumps(value).encode())


def same(value: dict[str, Any]) -> None:
    short, long = fast_panel(Served(), value), panel_of_bodies(Served(), ScoreRequest.model_validate(value).windows)
    assert short is not None
    assert (short.entities, short.features, short.step) == (long.entities, long.features, long.step)
    for name in ("values", "offsets", "timestamps"):
        found, expected = getattr(short, name), getattr(long, name)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def with_window(**changed: Any) -> dict[str, Any]:
    return {**PLAIN, "windows": [{**WINDOW, **changed}]}


def test_a_plain_body_is_read_as_the_schema_reads_it() -> None:
    """Gaps of the grid, two rows on one point, nulls, whole numbers, another order of the features."""
    same(PLAIN)
    same({"job": "demo", "windows": [WINDOW]})


@given(st.lists(st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 30)), min_size=1, max_size=3))
def test_times_are_those_of_the_calendar(times: list[datetime]) -> None:
    for time in times:
        stamps = [f"{t:%Y-%m-%dT%H:%M:%S}Z".zfill(20) for t in (time, time + timedelta(hours=7))]
        same(with_window(timestamps=stamps, values={"cpu": [1.0, 2.0], "memory": [3.0, None]}))
        panel = fast_panel(
            Served(step=1.0), with_window(timestamps=stamps, values={"cpu": [1, 2], "memory": [3, 4]})
        )
        assert panel is not None
        assert panel.timestamps[0] == round(time.replace(microsecond=0, tzinfo=UTC).timestamp()) * 1000


@pytest.mark.parametrize(
    "value",
    [
        {**PLAIN, "more": 1},
        {**PLAIN, "last": 0},
        {**PLAIN, "last": True},
        {**PLAIN, "windows": [WINDOW, WINDOW]},
        {**PLAIN, "windows": []},
        {**PLAIN, "windows": {"0": WINDOW}},
        {**PLAIN, "windows": ["a"]},
        with_window(more=1),
        with_window(entity=None),
        with_window(entity={"instance": "a"}),
        with_window(timestamps=[]),
        with_window(timestamps=TIMES[:3]),
        with_window(timestamps=TIMES[::-1]),
        with_window(timestamps=[TIMES[0], *TIMES[:3]]),
        with_window(timestamps=[*TIMES[:3], 1772410000]),
        with_window(timestamps=[*TIMES[:3], "2026-03-02T00:05:00+01"]),
        with_window(timestamps=[*TIMES[:3], "2026-02-29T00:05:00Z"]),
        with_window(timestamps=[*TIMES[:3], "2026-13-01T00:05:00Z"]),
        with_window(timestamps=[*TIMES[:3], "2026-12-00T00:05:00Z"]),
        with_window(timestamps=[*TIMES[:3], "2026-12-01T24:05:00Z"]),
        with_window(timestamps=[*TIMES[:3], "2026-12-01T20:60:00Z"]),
        with_window(timestamps=[*TIMES[:3], "2026-12-01T20:05:60Z"]),
        with_window(timestamps=[*TIMES[:3], "2026-12-01T20:05:0éZ"]),
        with_window(timestamps=["1969-12-31T23:59:59Z", *TIMES[1:]]),
        with_window(timestamps=["1971-01-01T00:00:00Z", *TIMES[1:]]),  # more than a million steps
        with_window(values={"cpu": [1, 2, 3, 4]}),
        with_window(values={"cpu": [1, 2, 3, 4], "other": [1, 2, 3, 4]}),
        with_window(values={"cpu": [1, 2, 3, 4], "memory": [1, 2, 3]}),
        with_window(values={"cpu": [1, 2, 3, 4], "memory": [1, 2, 3, True]}),
        with_window(values={"cpu": [1, 2, 3, 4], "memory": [1, 2, 3, "4"]}),
        with_window(values={"cpu": [1, 2, 3, 4], "memory": [1, 2, 3, float("inf")]}),
        with_window(values={"cpu": [1, 2, 3, 4], "memory": [1, 2, 3, [4]]}),
    ],
)  # fmt: skip
def test_what_is_not_plain_is_left_to_the_schema(value: dict[str, Any]) -> None:
    assert fast_panel(Served(), value) is None


def test_a_plain_body_that_gives_a_key_twice_is_left_to_the_schema() -> None:
    text = json.dumps(PLAIN)
    assert plain(Served(), PLAIN, text.encode()) is not None
    for once, twice in (('"last": 1', '"last": 2, "last": 1'), ('"cpu": [', '"cpu": [9, 9, 9, 9], "cpu": [')):
        assert once in text
        assert plain(Served(), PLAIN, text.replace(once, twice).encode()) is None
