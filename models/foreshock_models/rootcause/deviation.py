"""Departure of each metric at the onset of an incident, in units of what is usual for it.

The level just before the onset is the reference, not the level of a quiet day: a metric that drifted since then has
departed from the quiet day, but not because of the incident. The quiet rows only say how far a metric usually
departs within the same time. Ordering by robust deviation at the onset follows BARO (Pham et al., FSE 2024).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Departures", "departures"]

BEFORE, AFTER = 6, 4
"""Rows before the onset that give the reference level, and rows from the onset on that may depart from it."""
USUAL = 0.95
"""The unit of a metric: this quantile of its departures in quiet rows."""
LEAST = 0.02
"""The unit is at least this share of the metric's size, so that rounding of a constant is not a departure."""
FEWEST = 20
"""A metric with fewer quiet samples has no unit, and is left out."""


@dataclass(frozen=True)
class Departures:
    """How far each metric departed, ``(n_metrics,)`` each; NaN where it cannot be said.

    Attributes
    ----------
    size : largest distance from the level before, in units of the metric
    before, after : median before the onset, and the value that is farthest from it
    rare : share of quiet stretches that departed as far
    """

    size: NDArray[np.float64]
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    rare: NDArray[np.float64]


def departures(values: NDArray[np.float64], onset: int, quiet: NDArray[np.float64]) -> Departures:
    """Measure how far each metric departs from its level before the onset.

    Parameters
    ----------
    values
        ``(n_rows, n_metrics)`` around the incident; gaps are NaN.
    onset
        First row of the incident, at least 1.
    quiet
        ``(n_quiet, n_metrics)`` rows of normal operation, on the same grid.

    Raises
    ------
    ValueError
        No row before the onset, or other metrics in `quiet`.
    """
    if not 1 <= onset < len(values):
        raise ValueError(f"the onset must lie after the first row and within the rows: 1 to {len(values) - 1}")
    if values.shape[1] != quiet.shape[1]:
        raise ValueError(f"{values.shape[1]} metrics, but {quiet.shape[1]} in the quiet rows")
    first, last = max(0, onset - BEFORE), min(len(values), onset + AFTER)
    part = values[first:last]
    size, before, after = _departed(part.T, onset - first)
    usual = np.full((max(len(quiet) - len(part) + 1, 0), values.shape[1]), np.nan)
    if len(usual):
        windows = np.lib.stride_tricks.sliding_window_view(quiet, len(part), axis=0)  # (n_windows, n_metrics, rows)
        usual = _departed(windows, onset - first)[0]
    enough = np.count_nonzero(~np.isnan(quiet), axis=0) >= FEWEST
    with np.errstate(invalid="ignore", divide="ignore"):
        unit = _quantile(usual, USUAL)
        unit = np.maximum(unit, LEAST * np.abs(_quantile(quiet, 0.5)))
        unit = np.where(enough & (unit > 0), unit, np.nan)
        rare = np.count_nonzero(usual >= size, axis=0) / np.maximum(np.count_nonzero(~np.isnan(usual), axis=0), 1)
    return Departures(size / unit, before, after, rare)


def _departed(
    windows: NDArray[np.float64], onset: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """``(..., rows)`` -> largest distance from the median before `onset`, that median, the farthest value."""
    before = _median(windows[..., :onset])
    rows = windows[..., onset:]
    away = np.nan_to_num(np.abs(rows - before[..., None]), nan=-1.0)
    at = np.argmax(away, axis=-1)[..., None]
    after = np.take_along_axis(rows, at, axis=-1)[..., 0]
    size = np.abs(after - before)
    return size, before, after


def _median(windows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median over the last axis without NaN; NaN where there is nothing. NaN sorts last."""
    ranked = np.sort(windows, axis=-1)
    count = np.count_nonzero(~np.isnan(ranked), axis=-1)[..., None]
    low = np.take_along_axis(ranked, np.maximum((count - 1) // 2, 0), axis=-1)
    high = np.take_along_axis(ranked, np.minimum(count // 2, ranked.shape[-1] - 1), axis=-1)
    high = np.where(count % 2 == 1, low, high)
    found: NDArray[np.float64] = ((low + high) / 2)[..., 0]
    return found


def _quantile(values: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Quantile of each column without NaN; NaN where there is nothing."""
    ranked = np.sort(values, axis=0)
    last = np.count_nonzero(~np.isnan(ranked), axis=0) - 1
    if len(ranked) == 0:
        return np.full(values.shape[1], np.nan)
    place = np.ceil(np.maximum(last, 0) * share).astype(np.int64)
    found: NDArray[np.float64] = np.take_along_axis(ranked, place[None], axis=0)[0]
    return found
