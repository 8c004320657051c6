"""When something runs out, on series that do and that do not."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from foreshock_models.checks.rows import daily_load, hourly_panel
from foreshock_models.errors import DataError
from foreshock_models.forecasters import ARIMA, Forecast, time_to_exhaustion

HOURS = 14 * 24


def disk(per_hour: float, now: float = 0.8, seed: int = 0) -> np.ndarray:
    """A share that rises evenly to `now`."""
    rng = np.random.default_rng(seed)
    return now - per_hour * np.arange(HOURS)[::-1] + 0.002 * rng.normal(size=HOURS)


def ahead(rows: np.ndarray, hours: int = 72) -> Forecast:
    return ARIMA(limits=(0.0, 1.0), horizon=timedelta(hours=24)).fit(hourly_panel(rows)).predict(hours)


def test_a_disk_that_fills_is_predicted_with_an_interval_around_the_truth() -> None:
    (found,) = time_to_exhaustion(ahead(disk(0.002, now=0.9)), 0.95, within=timedelta(hours=48))
    assert found.seconds is not None
    assert found.lower is not None
    assert found.upper is not None
    assert 21 <= found.seconds / 3600 <= 29  # 0.05 at 0.002 an hour: 25 h
    assert found.lower <= found.seconds <= found.upper
    assert found.probability > 0.8
    assert "reaches 0.95 in" in str(found)


def test_what_crosses_only_after_the_horizon_is_unlikely_within_it() -> None:
    (found,) = time_to_exhaustion(ahead(disk(0.002, now=0.85)), 0.95, within=timedelta(hours=24))
    assert found.probability < 0.2
    assert found.seconds is not None
    assert found.seconds > 24 * 3600


@pytest.mark.parametrize(
    "rows", [disk(0.0), daily_load(HOURS) / 200, np.full(HOURS, 0.3)], ids=["flat", "daily", "constant"]
)
def test_what_does_not_rise_does_not_run_out(rows: np.ndarray) -> None:
    (found,) = time_to_exhaustion(ahead(rows), 0.95)
    assert found.seconds is None
    assert found.probability < 0.2
    assert "does not reach 0.95 within 72 h" in str(found)


def test_free_space_runs_out_downwards() -> None:
    (found,) = time_to_exhaustion(ahead(1 - disk(0.002, now=0.9)), 0.05, direction="down")
    assert found.seconds is not None
    assert 21 <= found.seconds / 3600 <= 29


def test_what_is_over_the_limit_already_has_no_time_left() -> None:
    (found,) = time_to_exhaustion(ahead(disk(0.0005, now=0.97)), 0.95)
    assert found.seconds is not None
    assert found.seconds <= 3600
    assert found.probability > 0.9


@pytest.mark.parametrize("limit", [-0.1, float("nan"), float("inf")])
def test_a_limit_that_is_negative_or_not_finite_is_refused(limit: float) -> None:
    with pytest.raises(DataError, match="a limit must be a finite number, at least 0"):
        time_to_exhaustion(ahead(daily_load()), limit)


def test_a_time_beyond_the_forecast_is_refused() -> None:
    with pytest.raises(DataError, match="at most the 72 h of the forecast"):
        time_to_exhaustion(ahead(daily_load()), 90, within=timedelta(hours=100))
