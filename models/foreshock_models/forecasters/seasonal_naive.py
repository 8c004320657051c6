"""Seasonal naive: each value as a season ago. The baseline that every forecast is compared with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foreshock_models.forecasters._baseline import seasonal_naive_fit
from foreshock_models.forecasters._forecaster import Forecaster
from foreshock_models.forecasters._grid import Series
from foreshock_models.forecasters._validation import Key, SeriesFit

__all__ = ["SeasonalNaive"]


class SeasonalNaive(Forecaster):
    """Each value as a season ago; without a season, the last value.

    Where a series has several seasons, the one with the smaller error in the validation is used, so that the
    baseline is no weaker than necessary. A gap takes the value of one more season ago.

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
        return seasonal_naive_fit(series, origins, horizon)
