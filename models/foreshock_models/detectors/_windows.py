"""Causal window features: level, trend and spread of each feature over the rows before, in one pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from foreshock_models.panel import Panel

__all__ = [
    "N_WINDOW_FEATURES", "RowsBefore", "Stacked", "carried", "mean_before", "rows_before", "rows_needed",
    "whole_windows", "window_features",
]  # fmt: skip

N_WINDOW_FEATURES = 4


@njit(cache=True, nogil=True)
def window_features(
    z: NDArray[np.float64], starts: NDArray[np.int64], rows: NDArray[np.int64], short: int, long: int
) -> NDArray[np.float32]:
    """``(n_rows, n_features)`` scaled values -> ``(n_features, len(rows), 4)``.

    For each feature and each of `rows`, whose entity begins at the row that `starts` ``(len(rows),)`` says: the
    value, the mean of the last `short` rows, that mean less the mean of the last `long` rows, and the standard
    deviation of the last `short` rows. A gap takes no part; a window without any value gives 0. Sums are taken
    anew for each row: a running sum would depend on where a series begins.
    """
    f = z.shape[1]
    out = np.zeros((f, len(rows), 4), np.float32)
    for j in range(f):
        for n in range(len(rows)):
            i, a = rows[n], starts[n]
            total = 0.0
            square = 0.0
            count = 0
            for k in range(max(a, i - short + 1), i + 1):
                v = z[k, j]
                if v == v:
                    total += v
                    square += v * v
                    count += 1
            far = total
            far_count = count
            for k in range(max(a, i - long + 1), max(a, i - short + 1)):
                v = z[k, j]
                if v == v:
                    far += v
                    far_count += 1
            mean = total / count if count else 0.0
            far_mean = far / far_count if far_count else 0.0
            here = z[i, j]
            out[j, n, 0] = here if here == here else mean
            out[j, n, 1] = mean
            out[j, n, 2] = mean - far_mean
            out[j, n, 3] = np.sqrt(max(square / count - mean * mean, 0.0)) if count else 0.0
    return out


@njit(cache=True, nogil=True)
def mean_before(
    values: NDArray[np.float64], place: NDArray[np.int64], counts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Mean of the `counts` rows of `values` that end at each `place`: ``(n, n_columns)``."""
    out = np.empty((len(place), values.shape[1]))
    for n in range(len(place)):
        i = place[n]
        for j in range(values.shape[1]):
            total = 0.0
            for k in range(i + 1 - counts[n], i + 1):
                total += values[k, j]
            out[n, j] = total / counts[n]
    return out


@dataclass(frozen=True)
class RowsBefore:
    """Rows, and those just before them in the same entity that their smoothed score looks at.

    Attributes
    ----------
    rows, starts : ``(n_needed,)`` numbers of all these rows, increasing, and where the entity of each begins
    place, counts : ``(n,)`` where each row that was asked for stands in `rows`, and over how many it is a mean
    """

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    place: NDArray[np.int64]
    counts: NDArray[np.int64]


def rows_before(panel: Panel, rows: NDArray[np.int64] | None, smoothing: int) -> RowsBefore:
    """What is needed for a mean over the last `smoothing` rows at `rows` (None: all), numbers increasing."""
    return RowsBefore(*rows_needed(panel.offsets, np.arange(panel.n_rows) if rows is None else rows, smoothing))


@njit(cache=True, nogil=True)
def rows_needed(
    offsets: NDArray[np.int64], rows: NDArray[np.int64], smoothing: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The fields of `RowsBefore`."""
    needed = np.empty(min(len(rows) * smoothing, offsets[-1]), np.int64)
    starts = np.empty_like(needed)
    place = np.empty(len(rows), np.int64)
    counts = np.empty(len(rows), np.int64)
    entity, last, total = 0, -1, 0
    for n in range(len(rows)):
        row = rows[n]
        while offsets[entity + 1] <= row:
            entity += 1
        start = offsets[entity]
        counts[n] = min(row - start + 1, smoothing)
        for k in range(max(row - counts[n], last) + 1, row + 1):
            needed[total] = k
            starts[total] = start
            total += 1
        last = row
        place[n] = total - 1
    return needed[:total].copy(), starts[:total].copy(), place, counts


def carried(scaled: NDArray[np.float64], panel: Panel, rows: int) -> NDArray[np.float64]:
    """Scaled values ``(n_rows, F)`` with gaps filled by the last value within `rows`, else by 0."""
    filled: NDArray[np.float64] = _carried(np.ascontiguousarray(scaled), panel.offsets, rows)
    return filled


@njit(cache=True, nogil=True)
def _carried(scaled: NDArray[np.float64], offsets: NDArray[np.int64], rows: int) -> NDArray[np.float64]:
    n, f = scaled.shape
    out = np.zeros((n, f))
    last = np.empty(f, np.int64)
    for e in range(len(offsets) - 1):
        last[:] = offsets[e] - rows
        for i in range(offsets[e], offsets[e + 1]):
            for j in range(f):
                v = scaled[i, j]
                if v == v:
                    out[i, j] = v
                    last[j] = i
                elif i - last[j] < rows:
                    out[i, j] = scaled[last[j], j]
    return out


class Stacked:
    """The window that ends at each row, ``(n_rows, span, F)``, gathered when some of them are asked for.

    Before an entity's first row, that row is repeated.
    """

    def __init__(self, x: NDArray[np.float32], panel: Panel, span: int) -> None:
        self.x = x
        self.starts = np.repeat(panel.offsets[:-1], panel.lengths)
        self.back = np.arange(-span + 1, 1)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        at = np.maximum(rows[:, None] + self.back, self.starts[rows][:, None])  # (n, span)
        windows: NDArray[np.float32] = self.x[at]
        return windows

    def flat(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The same, feature by feature: ``(n, F * span)``."""
        return np.ascontiguousarray(self[rows].transpose(0, 2, 1)).reshape(len(rows), -1)


def whole_windows(panel: Panel, window: int, most: int, seed: int) -> NDArray[np.int64]:
    """Numbers of rows whose window lies within their entity, in order; at most `most`, drawn at random."""
    shortest = int(panel.lengths.min())
    whole = np.flatnonzero(panel.positions >= min(window - 1, shortest - 1))
    rng = np.random.default_rng(seed)
    return np.sort(rng.choice(whole, size=min(len(whole), most), replace=False))
