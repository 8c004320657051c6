"""Seasons: which of hour, day and week a series has, and what they look like."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["SEASONS", "fill", "find_seasons", "profile", "rows_of"]

SEASONS = {"hour": 3600, "day": 86400, "week": 604800}
STRENGTH = 0.08
"""Share of the variance that a season must explain in periods it was not learnt from."""
PHASES = {"hour": 30, "day": 48, "week": 168}
"""Cells per period that the test looks at: finer ones hold more noise than season."""
MEMORY = 0.85
"""Weight of a period relative to the one after it: a rhythm changes slowly."""
MAX_PERIODS = 12


def rows_of(season: str, grid: float) -> int | None:
    """Rows of one period, or None where the grid does not divide it into at least 4."""
    rows = SEASONS[season] / grid
    return round(rows) if rows >= 4 and rows == round(rows) else None


def find_seasons(values: NDArray[np.float64], grid: float) -> tuple[int, ...]:
    """Rows of each season that the series has, shortest first.

    Each candidate is tested on what is left of the series without its trend and the seasons found before: every
    period is predicted by the mean of the other periods, phase by phase. This is the mean autocorrelation over
    all multiples of the period, normalised; noise, a trend or a slow random walk give at most 0 in the mean.

    Parameters
    ----------
    values
        ``(n_rows,)``, NaN for gaps.
    grid
        Seconds between two rows.
    """
    found: list[int] = []
    rest = _clip(values)
    for name in SEASONS:
        rows = rows_of(name, grid)
        if rows is None or len(values) < 2 * rows:
            continue
        if _strength(rest, rows, max(1, rows // PHASES[name])) > _line(len(values) // rows):
            found.append(rows)
            rest = _clip(values) - profile(values, tuple(found), 0)
    return tuple(found)


def _line(periods: int) -> float:
    """Few periods agree by chance more often: ask more of them."""
    return STRENGTH + 0.5 / periods**1.5


def _strength(values: NDArray[np.float64], rows: int, cell: int) -> float:
    """Share of variance that the mean of the other periods explains; at most 0 without a season."""
    table = _periods(values - _level(values, rows), rows, len(values) // rows)
    n_periods = len(table)
    if cell > 1:  # (periods, rows) -> (periods, rows // cell)
        table = _nanmean(table[:, : rows - rows % cell].reshape(n_periods, -1, cell), axis=2)
    present = ~np.isnan(table)
    counts = present.sum(axis=0) - present
    sums = np.nansum(table, axis=0) - np.where(present, table, 0.0)
    usable = present & (counts > 0)
    if usable.sum() < rows // cell:
        return -1.0
    error = table[usable] - sums[usable] / counts[usable]
    total = float(np.sum(table[usable] ** 2))
    return 1.0 - float(np.sum(error**2)) / total if total > 0 else -1.0


def profile(values: NDArray[np.float64], seasons: tuple[int, ...], horizon: int) -> NDArray[np.float64]:
    """The seasonal part of each row and of the rows to come ``(n_rows + horizon,)``, of mean 0.

    Classical decomposition (Brockwell and Davis, Introduction to Time Series and Forecasting, 1.5.2), season by
    season: the mean of each phase over the last periods, newer ones counting more, of what the level leaves.
    MSTL does the same more finely, at 0.13 s for four weeks of hours; this takes 0.3 ms, so that it can be
    learnt again at each origin of the validation.
    """
    n_rows = len(values)
    out = np.zeros(n_rows + horizon)
    rest = _clip(values)
    for i, rows in enumerate(seasons):
        n_periods = min(n_rows // rows, MAX_PERIODS)
        if n_periods == 0:
            continue
        table = _without_extremes(_periods(rest - _level(rest, rows), rows, n_periods))
        weights = MEMORY ** np.arange(n_periods)[::-1, None] * ~np.isnan(table)
        total = weights.sum(axis=0)
        shape = np.nansum(table * weights, axis=0) / np.maximum(total, 1e-12)
        shape[total == 0] = 0.0
        if i:  # a longer season has few periods: smooth it, and trust it as far as their number allows
            shape = _smooth(shape, max(1, seasons[i - 1] // 12)) * n_periods / (n_periods + 0.5)
        shape -= shape.mean()
        at = (np.arange(n_rows + horizon) - n_rows) % rows  # the table ends where the series ends
        out += shape[at]
        rest = rest - shape[at[:n_rows]]
    return out


def fill(values: NDArray[np.float64], seasonal: NDArray[np.float64]) -> NDArray[np.float64]:
    """The series without its seasons ``(n_rows,)``, gaps bridged by straight lines."""
    rest = values - seasonal[: len(values)]
    present = ~np.isnan(rest)
    rows = np.arange(len(rest))
    return np.interp(rows, rows[present], rest[present])


def _periods(values: NDArray[np.float64], rows: int, n_periods: int) -> NDArray[np.float64]:
    """The last whole periods as a table ``(n_periods, rows)``."""
    return values[len(values) - n_periods * rows :].reshape(n_periods, rows)


def _without_extremes(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each phase ``(periods, rows)`` within its second lowest and second highest: one holiday shapes no season."""
    counts = (~np.isnan(table)).sum(axis=0)
    if len(table) < 4:
        return table
    ranked = np.sort(table, axis=0)  # NaN last
    low = ranked[1]
    high = np.take_along_axis(ranked, np.maximum(counts - 2, 0)[None, :], axis=0)[0]
    return np.where(counts >= 4, np.clip(table, low, high), table)


def _level(values: NDArray[np.float64], rows: int) -> NDArray[np.float64]:
    """The series without its season: a line through the means of the whole periods."""
    n_periods = len(values) // rows
    means = _nanmean(_periods(values, rows, n_periods), axis=1)
    centres = len(values) - (np.arange(n_periods)[::-1] + 0.5) * rows
    known = ~np.isnan(means)
    if known.sum() < 2:
        return np.full(len(values), float(np.nanmean(values)))
    at = np.arange(len(values)) + 0.5
    return np.interp(at, centres[known], means[known])


def _clip(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without the outermost half percent: an incident is not a season."""
    known = values[~np.isnan(values)]
    rank = round(0.005 * (len(known) - 1))
    ranked = np.partition(known, [rank, len(known) - 1 - rank])  # ten times as fast as np.nanquantile
    return np.clip(values, ranked[rank], ranked[len(known) - 1 - rank])


def _smooth(shape: NDArray[np.float64], rows: int) -> NDArray[np.float64]:
    """Circular moving mean over about `rows` rows."""
    if rows < 2:
        return shape
    kernel = np.ones(rows | 1) / (rows | 1)
    half = rows // 2
    return np.convolve(np.concatenate([shape[-half:], shape, shape[:half]]), kernel, mode="valid")


def _nanmean(table: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """`np.nanmean` without its warning for an empty slice, which is NaN here on purpose."""
    counts = (~np.isnan(table)).sum(axis=axis)
    with np.errstate(invalid="ignore"):
        return np.nansum(table, axis=axis) / np.where(counts, counts, np.nan)
