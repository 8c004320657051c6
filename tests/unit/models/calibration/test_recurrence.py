"""What recurs daily raises the line of its time of day."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from foreshock_models.calibration.budget import Budget
from foreshock_models.calibration.calibrator import Calibrator
from foreshock_models.kernels.compiled.recurrence import expected_peak, record_hour
from foreshock_models.kernels.layout import RING_WIDTH
from foreshock_models.panel import Panel
from foreshock_models.state import State

STEP = 300.0
DAY = 288
HOUR = 12


def panel_of(n: int) -> Panel:
    return Panel.of(np.zeros((n, 1)), step=STEP)


def usual(n: int, seed: int = 0) -> NDArray[np.float64]:
    noise = np.random.default_rng(seed).gamma(2.0, 0.1, n + 10)
    return np.convolve(noise, np.ones(6) / 6, mode="valid")[:n]


def nightly(days: int, height: float = 2.0, hours: int = 1) -> NDArray[np.float64]:
    """Raw scores, over the line from two o'clock on, for some hours every night."""
    raw = usual(days * DAY, seed=1)
    for day in range(days):
        raw[day * DAY + 2 * HOUR + day % 3 : day * DAY + (2 + hours) * HOUR] += height
    return raw


def fitted(budget: str = "1 per week") -> Calibrator:
    return Calibrator(Budget.parse(budget)).fit(usual(20 * DAY), panel_of(20 * DAY))


def nights_over(score: NDArray[np.float64]) -> list[bool]:
    return [bool((night[2 * HOUR : 3 * HOUR] >= 1.0).sum() >= 3) for night in score.reshape(-1, DAY)]


def test_a_nightly_job_is_news_three_times() -> None:
    assert nights_over(fitted().apply(nightly(12), panel_of(12 * DAY)).score) == [True] * 3 + [False] * 9


def test_what_is_higher_than_the_recurrence_is_news() -> None:
    raw = nightly(9)
    raw[8 * DAY + 2 * HOUR : 8 * DAY + 3 * HOUR] += 4.0
    assert nights_over(fitted().apply(raw, panel_of(len(raw))).score)[3:] == [False] * 5 + [True]


def test_the_same_at_another_time_of_day_is_news() -> None:
    raw = nightly(9)
    raw[8 * DAY + 14 * HOUR : 8 * DAY + 15 * HOUR] += 2.0
    assert (fitted().apply(raw, panel_of(len(raw))).score[8 * DAY + 14 * HOUR :] >= 1.0).sum() >= 3


def test_a_recurrence_that_ended_is_forgotten() -> None:
    raw = np.concatenate([nightly(6), usual(8 * DAY, seed=2), nightly(1)])
    assert nights_over(fitted().apply(raw, panel_of(len(raw))).score)[-1]


def test_a_budget_that_allows_an_alert_a_day_has_no_recurrence() -> None:
    assert all(nights_over(fitted("1 per day").apply(nightly(9), panel_of(9 * DAY)).score))


def test_what_lasts_for_most_of_the_day_is_no_recurrence() -> None:
    raw = nightly(6, hours=11)
    assert all(nights_over(fitted().apply(raw, panel_of(len(raw))).score))


@given(st.integers(1, 8 * DAY - 1))
@settings(max_examples=15, deadline=None)
def test_a_recurrence_is_the_same_in_one_call_and_in_two(cut: int) -> None:
    raw = nightly(8)
    panel = panel_of(len(raw))
    whole = fitted_once.apply(raw, panel)
    first = fitted_once.apply(raw[:cut], panel.rows(0, cut))
    state = State.from_bytes(first.state.to_bytes())  # as the store keeps it
    second = fitted_once.apply(raw[cut:], panel.rows(cut, len(raw)), state)
    np.testing.assert_array_equal(np.concatenate([first.score, second.score]), whole.score)
    np.testing.assert_array_equal(second.state.arrays["hours"], whole.state.arrays["hours"])


def test_rows_without_a_sample_neither_make_nor_end_a_recurrence() -> None:
    raw = nightly(9)
    panel = panel_of(len(raw))
    panel.values[4 * DAY : 6 * DAY] = np.nan
    assert nights_over(fitted_once.apply(raw, panel).score)[3:] == [False] * 6


def test_a_state_of_an_earlier_version_goes_on_without_a_memory() -> None:
    raw = nightly(6)
    panel = panel_of(len(raw))
    first = fitted_once.apply(raw[: 3 * DAY], panel.rows(0, 3 * DAY)).state
    earlier = State(first.entities, {"calibration": first.arrays["calibration"]})
    done = fitted_once.apply(raw[3 * DAY :], panel.rows(3 * DAY, len(raw)), earlier)
    assert nights_over(done.score)[0]
    merged = State.merge([replace(earlier, entities=("another",)), done.state])
    assert merged.arrays["hours"].shape == (2, RING_WIDTH)
    assert not merged.arrays["hours"][0].any()


def test_a_model_of_an_earlier_version_is_read() -> None:
    values, arrays = fitted_once.to_arrays()
    del arrays["calibration.hours"]
    calibrator = Calibrator.from_arrays(values, arrays)
    raw, panel = nightly(5), panel_of(5 * DAY)
    np.testing.assert_array_equal(calibrator.apply(raw, panel).score, fitted_once.apply(raw, panel).score)


@pytest.mark.parametrize(("days_later", "known"), [(1, True), (5, True), (6, False), (30, False)])
def test_only_the_last_seven_days_count(days_later: int, known: bool) -> None:
    ring = np.zeros(RING_WIDTH, np.float32)
    for day in range(20_000, 20_008):
        for hour in range(24 * day, 24 * day + 24):
            record_hour(ring, hour, 2.0 if hour == 24 * day + 2 else 0.0)
    assert (expected_peak(ring, 24 * (20_007 + days_later) + 2, 3) > 0.0) == known


fitted_once = fitted()
