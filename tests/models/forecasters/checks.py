"""Checks that every forecaster passes: one function each, run over the registry.

Each takes a function that makes the forecaster, with keyword arguments of its constructor.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pytest
from sklearn.base import clone

from foreshock_models.errors import DataError, NotEnoughData, NotFitted
from foreshock_models.forecasters import Forecaster
from foreshock_models.panel import Panel

Make = Callable[..., Forecaster]
HOUR = 3_600_000
DAYS = 14
START = 1_772_409_600_000 - 28 * 24 * HOUR  # a Monday, 00:00 UTC


def load(n: int = DAYS * 24, *, seed: int = 1, noise: float = 1.0) -> np.ndarray:
    """Hours of a load with a day in it: 20 at night, 80 by day, with noise that lasts for hours."""
    rng = np.random.default_rng(seed)
    hours = np.arange(n)
    white = rng.normal(size=n)
    slow = np.zeros(n)
    for i in range(1, n):
        slow[i] = 0.8 * slow[i - 1] + white[i]
    return 50 - 30 * np.cos(2 * np.pi * hours / 24) + 2 * noise * slow


def panel(*columns: np.ndarray, entity: str = "host-1", start: int = START) -> Panel:
    """Hourly rows of one entity, one column a feature."""
    n = len(columns[0])
    return Panel(
        values=np.ascontiguousarray(np.stack(columns, axis=1)),
        offsets=np.array([0, n]),
        entities=(entity,),
        features=tuple(f"f{j}" for j in range(len(columns))),
        timestamps=(start + np.arange(n) * HOUR).astype(np.int64),
        step=3600.0,
    )


def check_forecasts_the_rows_after_the_last_one(make: Make) -> None:
    forecast = make().fit(panel(load())).predict(24, levels=(0.95, 0.8))
    assert forecast.point.shape == (1, 24, 1)
    assert forecast.lower.shape == forecast.upper.shape == (2, 1, 24, 1)
    assert forecast.levels == (0.8, 0.95)
    assert forecast.timestamps[0].tolist() == [START + (DAYS * 24 + i) * HOUR for i in range(24)]
    assert np.isfinite(forecast.point).all()
    assert (forecast.lower <= forecast.point).all()
    assert (forecast.upper >= forecast.point).all()
    assert forecast.wape["host-1", "f0"] < 0.5


def check_beats_the_last_value(make: Make) -> None:
    rows = load(DAYS * 24 + 24)
    forecast = make().fit(panel(rows[:-24])).predict(timedelta(hours=24))
    missed = np.abs(forecast.point[0, :, 0] - rows[-24:]).mean()
    assert missed < 0.5 * np.abs(rows[-25] - rows[-24:]).mean()


def check_higher_levels_are_wider(make: Make) -> None:
    forecast = make().fit(panel(load())).predict(24, levels=(0.5, 0.8, 0.95))
    width = (forecast.upper - forecast.lower)[:, 0, :, 0].mean(axis=1)
    assert (np.diff(width) > 0).all()


def check_intervals_widen_with_the_horizon(make: Make) -> None:
    rng = np.random.default_rng(3)
    walk = 1000 + np.cumsum(rng.normal(size=400))
    forecast = make(seasons=()).fit(panel(walk)).predict(48)
    width = (forecast.upper - forecast.lower)[0, 0, :, 0]
    assert width[24:].mean() > 1.5 * width[:3].mean()


def check_same_seed_same_forecast(make: Make) -> None:
    first, second = (make(random_state=7).fit(panel(load())).predict(24) for _ in range(2))
    np.testing.assert_array_equal(first.point, second.point)
    np.testing.assert_array_equal(first.upper, second.upper)


def check_changes_no_input(make: Make) -> None:
    rows = panel(load())
    before = rows.values.copy()
    make().fit(rows).predict(24)
    np.testing.assert_array_equal(rows.values, before)


def check_bridges_gaps(make: Make) -> None:
    rng = np.random.default_rng(5)
    rows = load(noise=0.3)
    whole = make().fit(panel(rows)).predict(24)
    rows[rng.random(len(rows)) < 0.1] = np.nan
    rows[100:112] = np.nan
    rows[-3:] = np.nan  # the newest samples are late
    forecast = make().fit(panel(rows)).predict(24)
    assert np.isfinite(forecast.point).all()
    assert forecast.timestamps[0, 0] == START + DAYS * 24 * HOUR
    np.testing.assert_allclose(forecast.point, whole.point, atol=8)


def check_a_constant_stays_what_it_is(make: Make) -> None:
    for value in (0.0, 4.2):
        forecast = make().fit(panel(np.full(200, value))).predict(24)
        for bound in (forecast.point, forecast.lower, forecast.upper):
            np.testing.assert_allclose(bound, value, atol=1e-9)


def check_stays_within_limits(make: Make) -> None:
    rows = np.clip(load(noise=3) + np.arange(DAYS * 24) / 8, 0, 100)
    forecast = make(limits=(0.0, 100.0)).fit(panel(rows)).predict(48, levels=(0.99,))
    for bound in (forecast.point, forecast.lower, forecast.upper):
        assert bound.min() >= 0
        assert bound.max() <= 100
    assert forecast.paths["host-1", "f0"].max() <= 100


def check_what_was_never_negative_stays_so(make: Make) -> None:
    rng = np.random.default_rng(6)
    forecast = make().fit(panel(np.abs(rng.normal(size=300)))).predict(24)
    assert forecast.lower.min() >= 0


def check_a_silent_series_is_skipped_with_a_reason(make: Make) -> None:
    dead, few = load(), np.full(DAYS * 24, np.nan)
    dead[100:] = np.nan
    few[-5:] = 1.0
    forecast = make().fit(panel(load(), dead, few)).predict(24)
    assert "no sample in the last" in forecast.skipped["host-1", "f1"]
    assert "5 rows" in forecast.skipped["host-1", "f2"]
    assert np.isnan(forecast.point[0, :, 1]).all()
    assert np.isfinite(forecast.point[0, :, 0]).all()


def check_refuses_what_makes_no_sense(make: Make) -> None:
    with pytest.raises(NotFitted, match="call fit"):
        make().predict(1)
    with pytest.raises(NotEnoughData, match="24 are needed; take a longer history"):
        make().fit(panel(load(12)))
    with pytest.raises(NotEnoughData, match=r"fewer than one week \(168 rows\)"):
        make(seasons=["week"]).fit(panel(load(100)))
    with pytest.raises(DataError, match="no season 'dya'; did you mean 'day'"):
        make(seasons=["dya"]).fit(panel(load(100)))
    with pytest.raises(DataError, match="a limit must be a finite number"):
        make(limits=(0.0, float("inf"))).fit(panel(load(100)))
    with pytest.raises(DataError, match="must be below the upper one"):
        make(limits=(5.0, 5.0)).fit(panel(load(100)))
    fitted = make().fit(panel(load(60, noise=0.1)))
    with pytest.raises(DataError, match=r"a horizon of 61 rows is longer than the history of 60 rows"):
        fitted.predict(61)
    with pytest.raises(DataError, match="at least one row"):
        fitted.predict(0)
    with pytest.raises(DataError, match="levels must lie between 0 and 1"):
        fitted.predict(1, levels=(80,))


def check_follows_scikit_learns_conventions(make: Make) -> None:
    forecaster = make(random_state=3)
    assert clone(forecaster).get_params() == forecaster.get_params()


CHECKS = tuple(value for name, value in list(globals().items()) if name.startswith("check_"))
