"""The kinds of anomalies that can be planted, one function each.

Each takes the whole column of one feature of one entity, with the stretch to change, and gives the new values of
that stretch. Sizes are in units of the column's own spread, so that a kind is as hard to see on one metric as on
another; they are drawn anew each time, from barely visible to plain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["KINDS", "Kind", "spread"]

Array = NDArray[np.float64]
Change = Callable[[np.random.Generator, Array, slice], Array]
SIZES = (1.5, 6.0)
"""How far anomalies reach, in spreads."""


@dataclass(frozen=True)
class Kind:
    """How a stretch is changed, how many rows it lasts, and how many of the features it takes at most.

    Short stretches are as frequent as long ones: half of the incidents on labelled servers (SMD, ASD) last less
    than twenty rows, and settings that were found on longer anomalies are no better than the defaults there.
    """

    change: Change
    rows: tuple[int, int]
    most_features: int = 3
    needs_others: bool = False
    """True if it only means something where there are other features."""


def spread(column: Array) -> float:
    """A robust standard deviation: the distance of the 10% and 90% quantiles; of a constant, a tenth of it."""
    low, middle, high = np.nanquantile(column, [0.1, 0.5, 0.9])
    width = float(high - low) / 2.56
    return width if width > 0 else max(float(np.nanstd(column)), 0.1 * abs(float(middle)), 1e-3)


def _size(rng: np.random.Generator) -> float:
    """Spreads, up or down; log-uniform, so that small ones are as frequent as large ones."""
    low, high = np.log(SIZES)
    return float(rng.choice([-1.0, 1.0]) * np.exp(rng.uniform(low, high)))


def _spike(rng: np.random.Generator, column: Array, at: slice) -> Array:
    """A short jump, twice as high as others are."""
    return column[at] + 2 * _size(rng) * spread(column)


def _level_shift(rng: np.random.Generator, column: Array, at: slice) -> Array:
    """A step up or down that stays until the end of the stretch."""
    return column[at] + _size(rng) * spread(column)


def _trend(rng: np.random.Generator, column: Array, at: slice) -> Array:
    """A slope, as of a leak, that ends in a reset."""
    return column[at] + np.linspace(0.0, 1.5, at.stop - at.start) * _size(rng) * spread(column)


def _flat_line(rng: np.random.Generator, column: Array, at: slice) -> Array:
    """The value of the first row, over and over."""
    known = column[at][~np.isnan(column[at])]
    return np.where(np.isnan(column[at]), np.nan, known[0] if len(known) else np.nan)


def _lost_season(rng: np.random.Generator, column: Array, at: slice) -> Array:
    """The slow movement is gone, its noise stays: the entity's middle plus what is fast in the stretch."""
    fast = column[at] - _slow(column, at)
    changed: Array = np.nanmedian(column) + fast
    return changed


def _broken_correlation(rng: np.random.Generator, column: Array, at: slice) -> Array:
    """Values of the same feature at another time: usual alone, wrong beside the other features."""
    length = at.stop - at.start
    starts = np.arange(0, len(column) - length + 1)
    other = starts[np.abs(starts - at.start) >= length]
    if len(other) == 0:
        return column[at][::-1]
    first = int(rng.choice(other))
    moved = column[first : first + length]
    return np.where(np.isnan(column[at]) | np.isnan(moved), column[at], moved)


def _noise_burst(rng: np.random.Generator, column: Array, at: slice) -> Array:
    """Noise on top, as from a failing sensor or an unstable loop."""
    return column[at] + rng.normal(0.0, 0.7 * abs(_size(rng)) * spread(column), at.stop - at.start)


def _slow(column: Array, at: slice) -> Array:
    """Mean over the 31 rows around each one of the stretch; a gap takes no part."""
    around = np.arange(at.start, at.stop)[:, None] + np.arange(-15, 16)
    values = column[np.clip(around, 0, len(column) - 1)]
    known = ~np.isnan(values)
    mean: Array = np.where(known, values, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return mean


KINDS: dict[str, Kind] = {
    "spike": Kind(_spike, (2, 8)),
    "level shift": Kind(_level_shift, (5, 90)),
    "trend": Kind(_trend, (10, 120)),
    "flat line": Kind(_flat_line, (10, 120)),
    "lost season": Kind(_lost_season, (20, 180)),
    "broken correlation": Kind(_broken_correlation, (10, 120), needs_others=True),
    "noise burst": Kind(_noise_burst, (4, 60)),
}
