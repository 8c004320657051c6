"""The seasonal-naive forecast: the baseline that every forecast is compared with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foreshock_models.forecasters._grid import Series
from foreshock_models.forecasters._validation import SeriesFit, observed_after, wape

__all__ = ["seasonal_naive_fit"]


def seasonal_naive_fit(series: Series, origins: NDArray[np.int64], horizon: int) -> SeriesFit:
    """Return the best seasonal-naive forecast of a series, with its backtest."""
    observed = observed_after(series.values, origins, horizon)
    best, best_error = None, np.inf
    for season in series.seasons or (1,):
        table = np.array([_last_season(series.values[:origin], season, horizon) for origin in origins])
        error = np.nan_to_num(wape(observed - table, observed), nan=np.inf)
        if best is None or error < best_error:
            best, best_error = (season, table), error
    assert best is not None
    season, table = best
    return SeriesFit("seasonal_naive", table, lambda h: _last_season(series.values, season, h))


def _last_season(values: NDArray[np.float64], season: int, horizon: int) -> NDArray[np.float64]:
    """The last season, repeated ``(horizon,)``, its gaps filled from the seasons before."""
    known = values[~np.isnan(values)]
    last = np.full(season, np.nan)
    for back in range(len(values) // season):
        period = values[len(values) - (back + 1) * season : len(values) - back * season]
        last = np.where(np.isnan(last), period, last)
        if not np.isnan(last).any():
            break
    if len(known):
        last = np.where(np.isnan(last), known[-1], last)
    return np.resize(last, horizon)
