"""Intervals from the errors that a forecast really made.

Split conformal prediction (Lei et al., Distribution-free predictive inference for regression, 2018) on the
origins of the rolling validation: the interval at a horizon is the point and the quantiles of the errors at
horizons like it, with the correction for a finite number of them. No distribution is assumed, and a method that
was wrong in the validation gets a wide interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["Errors", "buckets"]


@dataclass(frozen=True, slots=True)
class Errors:
    """Errors of a validation.

    Parameters
    ----------
    table
        ``(n_origins, n_horizons)``: observed minus forecast, in the unit of the feature; NaN where nothing was
        observed. Column ``h`` is the horizon of ``h + 1`` rows.
    """

    table: NDArray[np.float64]

    def offsets(self, level: float, horizon: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Offsets from the point to the lower and the upper end, two arrays ``(horizon,)``.

        Horizons are pooled in buckets that double in length, and interpolated between their centres. Beyond the
        validated horizons the offsets grow with the root of the horizon, as errors of a random walk do.
        """
        centres, low, high = [], [], []
        for a, b in self._buckets():
            errors = self.table[:, a:b]
            present = ~np.isnan(errors)
            if not present.any():
                continue
            tail = _tail(level, _independent(present))
            ends = np.quantile(errors[present], [tail, 1 - tail])
            centres.append(np.log((a + 1 + b) / 2))
            low.append(ends[0])
            high.append(ends[1])
        at = np.arange(1, horizon + 1)
        grown = np.sqrt(np.maximum(at / self.table.shape[1], 1.0))
        return (
            np.minimum(np.interp(np.log(at), centres, low), 0.0) * grown,
            np.maximum(np.interp(np.log(at), centres, high), 0.0) * grown,
        )

    def paths(self, horizon: int) -> NDArray[np.float64]:
        """Ways in which the forecast may go wrong ``(n_paths, horizon)``: how it went wrong at each origin.

        Whole paths keep what quantiles lose: that an error now is an error an hour later. They are widened as
        the intervals are (Clark et al., The Schaake shuffle, 2004, keeps paths for the same reason).
        """
        table = self.table
        whole = np.isfinite(table).mean(axis=1) >= 0.75
        table = table[whole] if whole.sum() >= 4 else table
        table = np.array([_bridge(row) for row in table if np.isfinite(row).any()])
        low, high = self.offsets(0.8, table.shape[1])
        for a, b in self._buckets():
            narrow = np.subtract(*np.quantile(table[:, a:b], [0.9, 0.1]))
            table[:, a:b] *= np.clip(np.mean(high[a:b] - low[a:b]) / max(narrow, 1e-12), 1.0, 2.0)
        if horizon <= table.shape[1]:
            return table[:, :horizon]
        last = table[:, -max(1, table.shape[1] // 4) :].mean(axis=1)
        more = np.sqrt(np.arange(table.shape[1] + 1, horizon + 1) / table.shape[1])
        return np.hstack([table, last[:, None] * more])

    def _buckets(self) -> list[tuple[int, int]]:
        return buckets(self.table.shape[1])


def buckets(n_horizons: int) -> list[tuple[int, int]]:
    """Horizons that are alike, as ranges that double in length: ``(0, 1), (1, 2), (2, 4), (4, 8)`` ..."""
    edges = [0]
    while edges[-1] < n_horizons:
        edges.append(min(n_horizons, max(edges[-1] + 1, 2 * edges[-1])))
    return list(pairwise(edges))


def _independent(present: NDArray[np.bool_]) -> float:
    """Errors of one origin resemble each other: a bucket counts as little more than one of each origin."""
    counts = present.sum(axis=1)
    return float(np.sum(1 + np.log2(counts[counts > 0]) / 2))


def _tail(level: float, count: float) -> float:
    """Share of the errors left out at each end, so that a new one of `count` + 1 lies inside with `level`."""
    return max(0.0, 1 - (1 + level) / 2 * (count + 1) / count)


def _bridge(row: NDArray[np.float64]) -> NDArray[np.float64]:
    known = np.isfinite(row)
    at = np.arange(len(row))
    return np.interp(at, at[known], row[known])
