"""Which seasons are found, and which are not."""

from __future__ import annotations

import numpy as np
import pytest

from foreshock_models.checks.rows import daily_load
from foreshock_models.forecasters._seasons import find_seasons, profile


def test_a_day_is_found_in_hours() -> None:
    assert find_seasons(daily_load(), 3600) == (24,)


def test_an_hour_is_found_in_minutes() -> None:
    rng = np.random.default_rng(0)
    minutes = np.arange(2000)
    assert find_seasons(10 + 5 * (minutes % 60 < 10) + rng.normal(size=2000), 60) == (60,)


def test_weekends_are_found_beside_the_day() -> None:
    hours = np.arange(28 * 24)
    weekend = hours // 24 % 7 >= 5
    assert find_seasons(daily_load(28 * 24) * np.where(weekend, 0.4, 1.0), 3600) == (24, 168)


@pytest.mark.parametrize("seed", range(5))
def test_noise_a_walk_and_a_trend_have_no_season(seed: int) -> None:
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=672)
    assert find_seasons(noise, 3600) == ()
    assert find_seasons(np.cumsum(noise), 3600) == ()
    assert find_seasons(np.arange(672) + noise, 3600) == ()


def test_one_holiday_changes_the_profile_of_a_week_little() -> None:
    week = np.tile(daily_load(7 * 24, noise=0), 4)
    holiday = week.copy()
    holiday[-48:-24] = 20.0
    np.testing.assert_allclose(profile(holiday, (168,), 168)[-168:], profile(week, (168,), 168)[-168:], atol=3)
