"""Types of synthetic anomalies, one function each.

A function takes the whole column of one feature of one entity and the rows to change, and returns the new values of
these rows. Sizes are in units of the column's own spread, so that a type is as hard to see on one metric as on
another. They are drawn afresh each time, from barely visible to plain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ANOMALY_TYPES", "AnomalyType", "spread"]

Array = NDArray[np.float64]
Change = Callable[[np.random.Generator, Array, slice], Array]
SIZES = (1.5, 6.0)
"""Range of the sizes of anomalies, in spreads."""


@dataclass(frozen=True)
class AnomalyType:
    """How values are changed, for how many rows, and in how many features at most.

    Short anomalies are as frequent as long ones: half of the incidents on labelled servers (SMD, ASD) last less
    than twenty rows, and settings that were found on longer anomalies are no better than the defaults there.

    Parameters
    ----------
    change
        Random generator, column ``(n_rows,)`` and the rows to change -> their new values.
    rows
        Shortest and longest duration.
    needs_other_features
        True if the anomaly is visible only in relation to other features.
    """

    change: Change
    rows: tuple[int, int]
    most_features: int = 3
    needs_other_features: bool = False


def spread(column: Array) -> float:
    """Return a robust standard deviation, from the 10% and 90% quantiles; of a constant, a tenth of its size."""
    low, middle, high = np.nanquantile(column, [0.1, 0.5, 0.9])
    width = float(high - low) / 2.56
    return width if width > 0 else max(float(np.nanstd(column)), 0.1 * abs(float(middle)), 1e-3)


def _size(rng: np.random.Generator) -> float:
    """Size in spreads, up or down; log-uniform, so that small ones are as frequent as large ones."""
    low, high = np.log(SIZES)
    return float(rng.choice([-1.0, 1.0]) * np.exp(rng.uniform(low, high)))


def _spike(rng: np.random.Generator, column: Array, at: slice) -> Array:
    """A short jump, twice as high as other anomalies."""
    return column[at] + 2 * _size(rng) * spread(column)


def _level_shift(rng: np.random.Generator, column: Array, at: slice) -> Array:
    """A step up or down that lasts until the end."""
    return column[at] + _size(rng) * spread(column)


def _trend(rng: np.random.Generator, column: Array, at: slice) -> Array:
    """A slope that ends in a reset, as of a leak."""
    return column[at] + np.linspace(0.0, 1.5, at.stop - at.start) * _size(rng) * spread(column)


def _flat_line(rng: np.random.Generator, column: Array, at: slice) -> Array:
    """The value of the first row, repeated."""
    known = column[at][~np.isnan(column[at])]
    return np.where(np.isnan(column[at]), np.nan, known[0] if len(known) else np.nan)


def _lost_season(rng: np.random.Generator, column: Array, at: slice) -> Array:
    """The median of the column plus the fast part of the rows: the slow movement is lost, the noise stays."""
    fast = column[at] - _moving_mean(column, at)
    changed: Array = np.nanmedian(column) + fast
    return changed


def _broken_correlation(rng: np.random.Generator, column: Array, at: slice) -> Array:
    """Values of the same feature at another time: usual on their own, wrong beside the other features."""
    length = at.stop - at.start
    starts = np.arange(0, len(column) - length + 1)
    other = starts[np.abs(starts - at.start) >= length]
    if len(other) == 0:
        return column[at][::-1]
    first = int(rng.choice(other))
    moved = column[first : first + length]
    return np.where(np.isnan(column[at]) | np.isnan(moved), column[at], moved)


def _noise_burst(rng: np.random.Generator, column: Array, at: slice) -> Array:
    """Added noise, as of a failing sensor or an unstable control loop."""
    return column[at] + rng.normal(0.0, 0.7 * abs(_size(rng)) * spread(column), at.stop - at.start)


def _moving_mean(column: Array, at: slice) -> Array:
    """Mean over the 31 rows around each of the rows; gaps are ignored."""
    around = np.arange(at.start, at.stop)[:, None] + np.arange(-15, 16)
    values = column[np.clip(around, 0, len(column) - 1)]
    known = ~np.isnan(values)
    mean: Array = np.where(known, values, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return mean


ANOMALY_TYPES: dict[str, AnomalyType] = {
    "spike": AnomalyType(_spike, (2, 8)),
    "level shift": AnomalyType(_level_shift, (5, 90)),
    "trend": AnomalyType(_trend, (10, 120)),
    "flat line": AnomalyType(_flat_line, (10, 120)),
    "lost season": AnomalyType(_lost_season, (20, 180)),
    "broken correlation": AnomalyType(_broken_correlation, (10, 120), needs_other_features=True),
    "noise burst": AnomalyType(_noise_burst, (4, 60)),
}
