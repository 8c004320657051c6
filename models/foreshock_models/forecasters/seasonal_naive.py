"""Seasonal naive: as a season ago. The baseline that every forecast is compared with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foreshock_models.forecasters._base import Forecaster, Key, SeriesFit, future, wape
from foreshock_models.forecasters._grid import Series

__all__ = ["SeasonalNaive", "baseline"]


class SeasonalNaive(Forecaster):
    """Every row as it was a season ago; without a season, as it was last.

    Where a series has several seasons, the one with the smaller error in the validation is used, so that the
    baseline is no weaker than it need be. A gap takes the value of one more season ago.

    Examples
    --------
    >>> import numpy as np
    >>> day = 10 + np.sin(np.arange(14 * 24) / 24 * 2 * np.pi)
    >>> from foreshock_models.panel import Panel
    >>> forecast = SeasonalNaive().fit(Panel.of(day, step=3600)).predict(24)
    >>> bool(np.allclose(forecast.point[0, :, 0], day[:24]))
    True
    """

    name = "seasonal_naive"

    def _fit_series(self, key: Key, series: Series, origins: NDArray[np.int64], horizon: int) -> SeriesFit:
        return baseline(series, origins, horizon)


def baseline(series: Series, origins: NDArray[np.int64], horizon: int) -> SeriesFit:
    """The best seasonal-naive forecast of a series, with its backtest."""
    observed = future(series.values, origins, horizon)
    best, best_error = None, np.inf
    for season in series.seasons or (1,):
        table = np.array([_as_before(series.values[:origin], season, horizon) for origin in origins])
        error = np.nan_to_num(wape(observed - table, observed), nan=np.inf)
        if best is None or error < best_error:
            best, best_error = (season, table), error
    assert best is not None
    season, table = best
    return SeriesFit("seasonal_naive", table, lambda h: _as_before(series.values, season, h))


def _as_before(values: NDArray[np.float64], season: int, horizon: int) -> NDArray[np.float64]:
    """The last season again and again ``(horizon,)``, its gaps filled from the seasons before."""
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
