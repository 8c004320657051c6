"""Durations and amounts."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from foreshock_pipelines.jobfile.durations import Amount, Duration, Timeout, format_duration, parse_duration

DURATION, TIMEOUT, AMOUNT = TypeAdapter(Duration), TypeAdapter(Timeout), TypeAdapter(Amount)


@given(st.integers(min_value=1, max_value=36500 * 86400 * 1000))
def test_a_duration_is_read_as_it_is_written(ms: int) -> None:
    duration = timedelta(milliseconds=ms)
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    "value",
    [
        "9999999y",
        "101y",
        1e300,
        math.inf,
        -math.inf,
        math.nan,
        10**400,
        "9" * 90 + "d",
        timedelta.max,
        timedelta.min,
    ],
)
def test_a_duration_that_dates_cannot_be_moved_by_is_too_long(value: Any) -> None:
    with pytest.raises(ValueError, match="is too long; a duration is at most 100 years"):
        parse_duration(value)


def test_the_longest_duration_moves_now_and_is_counted_in_milliseconds() -> None:
    longest = parse_duration("100y")
    assert (datetime.now(UTC) - 2 * longest).year > 1800
    assert (datetime.now(UTC) + 2 * longest).timestamp() * 1000 < 2**63


@pytest.mark.parametrize("value", ["", "1", "1x", "-1s", "1 s", "²s", "١s", "1s" * 100, True, None, [], {}, b"1s"])
def test_what_is_no_duration_is_said(value: Any) -> None:
    with pytest.raises(ValueError, match="is not a duration; write a number with a unit"):
        parse_duration(value)


@pytest.mark.parametrize(("value", "says"), [("0.5ms", "whole number of milliseconds"), (0, "longer than 0")])
def test_a_duration_in_a_job_file_is_a_positive_number_of_milliseconds(value: Any, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        DURATION.validate_python(value)


def test_a_timeout_is_one_that_a_socket_takes() -> None:
    assert TIMEOUT.validate_python("1h") == timedelta(hours=1)
    with pytest.raises(ValidationError, match="too long to wait for one answer"):
        TIMEOUT.validate_python("2h")


@pytest.mark.parametrize("value", ["1e999", "1e101%", math.inf, math.nan, "x", True, None, [5], "٥", "9" * 200])
def test_an_amount_is_a_finite_number(value: Any) -> None:
    with pytest.raises(ValidationError, match="amount"):
        AMOUNT.validate_python(value)


@given(st.floats(min_value=-1e100, max_value=1e100))
def test_an_amount_and_its_share_are_finite(value: float) -> None:
    amount = AMOUNT.validate_python(value)
    assert math.isfinite(amount.of(1e100))
    assert math.isfinite(amount.fraction)
