"""Validation by rolling origin: forecasts of the past, each from the rows before its origin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foreshock_models.forecasters._intervals import Errors

__all__ = ["Key", "SeriesFit", "Validated", "observed_after", "validation_origins", "wape"]

Key = tuple[str, str]
"""Entity and feature."""
ORIGINS = 16


@dataclass(frozen=True)
class SeriesFit:
    """Fit of an algorithm to one series.

    Parameters
    ----------
    method
        Its name, as shown to users.
    backtest
        ``(n_origins, horizon)``: points that it would have forecast at each origin, from the rows before it only.
    ahead
        Number of rows -> points ``(h,)`` of the next `h` rows.
    """

    method: str
    backtest: NDArray[np.float64]
    ahead: Callable[[int], NDArray[np.float64]]


@dataclass(frozen=True)
class Validated:
    """Fit of a series with its errors at the origins of the validation."""

    fit: SeriesFit
    errors: Errors
    wape: float
    baseline_wape: float


def validation_origins(n_rows: int, horizon: int, count: int = ORIGINS) -> NDArray[np.int64]:
    """Return the first rows to forecast: all over the newest third, or over 8 horizons if that is less.

    The last origins see less than a horizon; the others see all of it.
    """
    span = min(n_rows // 3 + horizon // 2, max(8 * horizon, 2 * count))
    first = max(n_rows - span, n_rows // 3)
    last = n_rows - max(1, horizon // 2)
    return np.unique(np.linspace(first, last, count).astype(np.int64))


def observed_after(values: NDArray[np.float64], origins: NDArray[np.int64], horizon: int) -> NDArray[np.float64]:
    """Return the values after each origin ``(n_origins, horizon)``; NaN beyond the end."""
    padded = np.concatenate([values, np.full(horizon, np.nan)])
    return padded[origins[:, None] + np.arange(horizon)]


def wape(errors: NDArray[np.float64], observed: NDArray[np.float64]) -> float:
    """Return the weighted absolute percentage error: sum of absolute errors over sum of absolute values.

    0 where there is no error; NaN where all values are 0 but forecasts were not.
    """
    known = ~np.isnan(errors)
    total = float(np.abs(errors[known]).sum())
    whole = float(np.abs(observed[known]).sum())
    if total == 0:
        return 0.0
    return total / whole if whole > 0 else float("nan")
