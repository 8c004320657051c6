"""Intervals hold what they promise, out of sample."""

from __future__ import annotations

import numpy as np
import pytest

from foreshock_models.checks.rows import daily_load, hourly_panel
from foreshock_models.forecasters import ARIMA, make

N_SERIES, AHEAD = 40, 24


@pytest.mark.parametrize("method", ["seasonal_naive", "arima", "auto"])
def test_an_interval_of_80_percent_holds_75_to_85_percent_of_what_comes(method: str) -> None:
    inside = []
    for seed in range(N_SERIES):
        rows = daily_load(21 * 24 + AHEAD, seed=100 + seed)
        forecast = make(method).fit(hourly_panel(rows[:-AHEAD])).predict(AHEAD)
        came = rows[-AHEAD:]
        inside.append((forecast.lower[0, 0, :, 0] <= came) & (came <= forecast.upper[0, 0, :, 0]))
    assert 0.75 <= np.mean(inside) <= 0.85


def test_a_season_that_was_asked_for_is_used() -> None:
    rows = daily_load(14 * 24)
    assert ARIMA(seasons=("day",)).fit(hourly_panel(rows)).series_["host-1", "f0"].seasons == (24,)
    assert ARIMA(seasons=()).fit(hourly_panel(rows)).series_["host-1", "f0"].seasons == ()


def test_fine_rows_are_forecast_as_means_over_coarser_ones() -> None:
    from foreshock_models.panel import Panel

    minutes = np.repeat(daily_load(7 * 24), 60)
    forecast = make("seasonal_naive").fit(Panel.of(minutes, step=60)).predict(12)
    assert forecast.step == 300
    assert forecast.timestamps[0, 0] == 7 * 24 * 3_600_000
