"""Checks that every forecaster passes: one function each."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
from sklearn.base import clone

from foreshock_models.checks.rows import HOUR_MS, START_MS, daily_load, hourly_panel
from foreshock_models.checks.suite import raises, run_checks
from foreshock_models.errors import DataError, NotEnoughData, NotFitted
from foreshock_models.forecasters import Forecaster

__all__ = ["check_forecaster", "forecaster_checks"]

HOURS = 14 * 24


def check_forecaster(forecaster: Forecaster) -> None:
    """Run every check on a forecaster that is not fitted.

    Raises
    ------
    AssertionError
        The first check that fails; its name is in the message.

    Examples
    --------
    >>> from foreshock_models.forecasters import SeasonalNaive
    >>> check_forecaster(SeasonalNaive())
    """
    run_checks(forecaster_checks(), forecaster.skipped_checks(), "", forecaster)


def forecaster_checks() -> dict[str, Callable[[Forecaster], None]]:
    """Return the checks by name."""
    return {
        name: value for name, value in globals().items() if name.startswith("check_") and name != "check_forecaster"
    }


def _new(forecaster: Forecaster, **params: Any) -> Forecaster:
    """A forecaster with the same parameters but for these."""
    copy: Forecaster = clone(forecaster)
    return copy.set_params(**params)


def check_forecasts_the_rows_after_the_last_one(forecaster: Forecaster) -> None:
    """Points and intervals are of the rows that follow, finite and in order."""
    forecast = _new(forecaster).fit(hourly_panel(daily_load(HOURS))).predict(24, levels=(0.95, 0.8))
    assert forecast.point.shape == (1, 24, 1)
    assert forecast.lower.shape == forecast.upper.shape == (2, 1, 24, 1)
    assert forecast.levels == (0.8, 0.95)
    assert forecast.timestamps[0].tolist() == [START_MS + (HOURS + i) * HOUR_MS for i in range(24)]
    assert np.isfinite(forecast.point).all()
    assert (forecast.lower <= forecast.point).all()
    assert (forecast.upper >= forecast.point).all()
    assert forecast.wape["host-1", "f0"] < 0.5


def check_beats_the_last_value(forecaster: Forecaster) -> None:
    """A day ahead of a daily season, its error is half of that of the last value at most."""
    rows = daily_load(HOURS + 24)
    forecast = _new(forecaster).fit(hourly_panel(rows[:-24])).predict(timedelta(hours=24))
    missed = np.abs(forecast.point[0, :, 0] - rows[-24:]).mean()
    assert missed < 0.5 * np.abs(rows[-25] - rows[-24:]).mean()


def check_higher_levels_are_wider(forecaster: Forecaster) -> None:
    """An interval of a higher level is wider."""
    forecast = _new(forecaster).fit(hourly_panel(daily_load(HOURS))).predict(24, levels=(0.5, 0.8, 0.95))
    width = (forecast.upper - forecast.lower)[:, 0, :, 0].mean(axis=1)
    assert (np.diff(width) > 0).all()


def check_intervals_widen_with_the_horizon(forecaster: Forecaster) -> None:
    """On a random walk, intervals grow with the horizon."""
    walk = 1000 + np.cumsum(np.random.default_rng(3).normal(size=400))
    forecast = _new(forecaster, seasons=()).fit(hourly_panel(walk)).predict(48)
    width = (forecast.upper - forecast.lower)[0, 0, :, 0]
    assert width[24:].mean() > 1.5 * width[:3].mean()


def check_same_seed_same_forecast(forecaster: Forecaster) -> None:
    """Two fits with the same seed give the same forecast."""
    fits = (_new(forecaster, random_state=7).fit(hourly_panel(daily_load(HOURS))) for _ in range(2))
    first, second = (fitted.predict(24) for fitted in fits)
    np.testing.assert_array_equal(first.point, second.point)
    np.testing.assert_array_equal(first.upper, second.upper)


def check_changes_no_input(forecaster: Forecaster) -> None:
    """Fitting and forecasting leave the rows as they are."""
    rows = hourly_panel(daily_load(HOURS))
    before = rows.values.copy()
    _new(forecaster).fit(rows).predict(24)
    np.testing.assert_array_equal(rows.values, before)


def check_bridges_gaps(forecaster: Forecaster) -> None:
    """Lost samples, an outage and late samples change the forecast little."""
    rng = np.random.default_rng(5)
    rows = daily_load(HOURS, noise=0.3)
    whole = _new(forecaster).fit(hourly_panel(rows)).predict(24)
    rows[rng.random(len(rows)) < 0.1] = np.nan
    rows[100:112] = np.nan
    rows[-3:] = np.nan  # the newest samples are late
    forecast = _new(forecaster).fit(hourly_panel(rows)).predict(24)
    assert np.isfinite(forecast.point).all()
    assert forecast.timestamps[0, 0] == START_MS + HOURS * HOUR_MS
    np.testing.assert_allclose(forecast.point, whole.point, atol=8)


def check_a_constant_stays_constant(forecaster: Forecaster) -> None:
    """A constant is forecast exactly."""
    for value in (0.0, 4.2):
        forecast = _new(forecaster).fit(hourly_panel(np.full(200, value))).predict(24)
        for bound in (forecast.point, forecast.lower, forecast.upper):
            np.testing.assert_allclose(bound, value, atol=1e-9)


def check_stays_within_limits(forecaster: Forecaster) -> None:
    """Points, intervals and paths stay within the limits."""
    rows = np.clip(daily_load(HOURS, noise=3) + np.arange(HOURS) / 8, 0, 100)
    forecast = _new(forecaster, limits=(0.0, 100.0)).fit(hourly_panel(rows)).predict(48, levels=(0.99,))
    for bound in (forecast.point, forecast.lower, forecast.upper):
        assert bound.min() >= 0
        assert bound.max() <= 100
    assert forecast.paths["host-1", "f0"].max() <= 100


def check_a_series_that_is_never_negative_stays_so(forecaster: Forecaster) -> None:
    """Without limits, the forecast of a series that is never negative is at least 0."""
    rng = np.random.default_rng(6)
    forecast = _new(forecaster).fit(hourly_panel(np.abs(rng.normal(size=300)))).predict(24)
    assert forecast.lower.min() >= 0


def check_a_silent_series_is_skipped_with_a_reason(forecaster: Forecaster) -> None:
    """A series without new samples, or with few, is skipped; the others are forecast."""
    dead, few = daily_load(HOURS), np.full(HOURS, np.nan)
    dead[100:] = np.nan
    few[-5:] = 1.0
    forecast = _new(forecaster).fit(hourly_panel(daily_load(HOURS), dead, few)).predict(24)
    assert "no sample in the last" in forecast.skipped["host-1", "f1"]
    assert "5 rows" in forecast.skipped["host-1", "f2"]
    assert np.isnan(forecast.point[0, :, 1]).all()
    assert np.isfinite(forecast.point[0, :, 0]).all()


def check_refuses_invalid_input(forecaster: Forecaster) -> None:
    """Too few rows, unknown seasons, wrong limits, horizons and levels give clear errors."""
    with raises(NotFitted, "call fit"):
        _new(forecaster).predict(1)
    with raises(NotEnoughData, "24 are needed; take a longer history"):
        _new(forecaster).fit(hourly_panel(daily_load(12)))
    with raises(NotEnoughData, "fewer than one week (168 rows)"):
        _new(forecaster, seasons=["week"]).fit(hourly_panel(daily_load(100)))
    with raises(DataError, "no season 'dya'; did you mean 'day'"):
        _new(forecaster, seasons=["dya"]).fit(hourly_panel(daily_load(100)))
    with raises(DataError, "a limit must be a finite number"):
        _new(forecaster, limits=(0.0, float("inf"))).fit(hourly_panel(daily_load(100)))
    with raises(DataError, "must be below the upper one"):
        _new(forecaster, limits=(5.0, 5.0)).fit(hourly_panel(daily_load(100)))
    fitted = _new(forecaster).fit(hourly_panel(daily_load(60, noise=0.1)))
    with raises(DataError, "a horizon of 61 rows is longer than the history of 60 rows"):
        fitted.predict(61)
    with raises(DataError, "at least one row"):
        fitted.predict(0)
    with raises(DataError, "levels must lie between 0 and 1"):
        fitted.predict(1, levels=(80,))


def check_follows_the_conventions_of_scikit_learn(forecaster: Forecaster) -> None:
    """A clone has the same parameters."""
    changed = _new(forecaster, random_state=3)
    assert clone(changed).get_params() == changed.get_params()
