"""One series on the grid that forecasts are made on.

Fine series are averaged onto a coarser grid before anything is fitted: a day ahead of 60 s rows is 1,440 steps
that no seasonal model fits in reasonable time, and that nobody reads. The grid is the finest divisor of a day
that keeps the history under `MAX_ROWS` rows: 5 minutes for a week, 10 for two, 20 for four. It is an hour at
most: of a history that is still longer, the last `MAX_ROWS` rows are used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foreshock_models.errors import DataError, allowed
from foreshock_models.panel import Panel

__all__ = ["MAX_ROWS", "Limits", "Series", "choose_grid", "limits_of", "on_grid"]

MAX_ROWS = 2100
DIVISORS = (1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600)

Limits = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class Series:
    """One feature of one entity on the grid, up to its last sample.

    Parameters
    ----------
    values
        ``(n_rows,)``: the mean of the samples of each cell of the grid; NaN where there were none.
    start
        Milliseconds since the epoch of the first cell; a cell is named after its beginning.
    grid
        Seconds of a cell.
    seasons
        Rows of each season that was found, shortest first.
    limits
        Lowest and highest possible value, infinite where open.
    ahead
        Empty cells between the last sample and the end of the rows: the forecast begins after them.
    """

    values: NDArray[np.float64]
    start: int
    grid: float
    seasons: tuple[int, ...]
    limits: tuple[float, float]
    ahead: int = 0

    @property
    def n_rows(self) -> int:
        return len(self.values)

    def times(self, start: int, stop: int) -> NDArray[np.int64]:
        """Milliseconds since the epoch of the rows ``start:stop``, which may lie in the future."""
        return self.start + np.arange(start, stop, dtype=np.int64) * round(self.grid * 1000)


def choose_grid(step: float, n_rows: int) -> float:
    """Seconds of a cell, for `n_rows` rows of `step` seconds.

    >>> choose_grid(60, 7 * 1440), choose_grid(3600, 672)
    (300, 3600)
    """
    if n_rows <= MAX_ROWS:
        return step
    span = step * n_rows
    fine = next((g for g in DIVISORS if g >= max(step, span / MAX_ROWS)), DIVISORS[-1])
    return max(fine, step)


def on_grid(
    times: NDArray[np.int64], values: NDArray[np.float64], grid: float, step: float
) -> tuple[NDArray[np.float64], int]:
    """Mean of the samples of each cell ``(n_cells,)``, and the time of the first cell.

    Parameters
    ----------
    times, values
        ``(n_rows,)`` of one entity: milliseconds since the epoch, and samples with NaN for gaps.

    A cell at either end that the rows cover by less than half is left out: its mean would be of another kind.
    """
    size = round(grid * 1000)
    if grid == step:
        cells = (times - times[0]) // size  # as it is, whatever its phase
        first = int(times[0])
    else:
        cells = times // size - times[0] // size
        first = int(times[0] // size) * size
    n_cells = int(cells[-1]) + 1
    present = ~np.isnan(values)
    counts = np.bincount(cells[present], minlength=n_cells)
    sums = np.bincount(cells[present], weights=values[present], minlength=n_cells)
    with np.errstate(invalid="ignore"):
        means = sums / counts  # 0 / 0 is a gap
    covered = np.bincount(cells, minlength=n_cells) * step
    lead = 1 if covered[0] < grid / 2 and n_cells > 1 else 0
    trail = 1 if covered[-1] < grid / 2 and n_cells > 1 + lead else 0
    lead = max(lead, n_cells - trail - MAX_ROWS)
    return means[lead : n_cells - trail], first + lead * size


def limits_of(limits: Limits | Mapping[str, Limits] | None, feature: str, panel: Panel) -> tuple[float, float]:
    """Lowest and highest possible value of a feature.

    What nobody said: at least 0 where no sample was ever negative, as rates, shares and durations are.

    Raises
    ------
    DataError
        A limit that is not finite, or a lower one that is not below the upper one.
    """
    if isinstance(limits, Mapping):
        unknown = set(limits) - set(panel.features)
        if unknown:
            name = min(unknown)
            raise DataError(f"limits name no feature {name!r}; {allowed(name, panel.features)}")
        given = limits.get(feature)
    else:
        given = limits
    low, high = given or (None, None)
    for limit in (low, high):
        if limit is not None and not np.isfinite(limit):
            raise DataError(f"{feature}: a limit must be a finite number, or None where it is open; got {limit}")
    if low is not None and high is not None and low >= high:
        raise DataError(f"{feature}: the lower limit {low:g} must be below the upper one {high:g}")
    if low is None:
        column = panel.values[:, panel.features.index(feature)]
        low = 0.0 if np.nanmin(column, initial=0.0) >= 0 else -np.inf
    return float(low), np.inf if high is None else float(high)
