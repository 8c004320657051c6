"""Causal window features: level, trend and spread of each feature over the rows before, in one pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from foreshock_models.panel import Panel

__all__ = [
    "N_WINDOW_FEATURES", "RowsBefore", "Stacked", "carried", "features_of", "fitting",
    "mean_before", "rows_before", "rows_needed", "whole_windows", "window_features",
]  # fmt: skip

N_WINDOW_FEATURES = 4
BLOCK = 256
"""Rows whose features are computed at a time."""
SIDE_BY_SIDE = 8
"""From so many rows that follow on each other, their sums fill the lanes of a vector."""


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
    out = np.empty((z.shape[1], len(rows), N_WINDOW_FEATURES), np.float32)
    for first in range(0, len(rows), BLOCK):
        last = min(first + BLOCK, len(rows))
        for j in range(len(out)):
            features_of(z, j, starts[first:last], rows[first:last], short, long, out[j, first:last])
    return out


@njit(cache=True, nogil=True)
def features_of(
    z: NDArray[np.float64],
    j: int,
    starts: NDArray[np.int64],
    rows: NDArray[np.int64],
    short: int,
    long: int,
    out: NDArray[np.float32],
) -> None:
    """`window_features` of feature `j` at `rows` ``(n,)``, into `out` ``(n, 4)``.

    Rows that follow on each other add up side by side, each its own sum in the order of time.
    """
    back = max(short, long) - 1
    value, square = np.empty(back + len(rows)), np.empty(back + len(rows))
    there = np.zeros(back + len(rows) + 1, np.int64)  # values so far
    near, near_square, far = np.empty(len(rows)), np.empty(len(rows)), np.empty(len(rows))
    n = 0
    while n < len(rows):
        size = 1
        while n + size < len(rows) and rows[n + size] == rows[n] + size and starts[n + size] == starts[n]:
            size += 1
        for k in range(back + size):
            row = rows[n] - back + k
            v = z[row, j] if row >= starts[n] else np.nan
            there[k + 1] = there[k] + (v == v)
            value[k] = v if v == v else 0.0
            square[k] = value[k] * value[k]
        near[:size], near_square[:size] = 0.0, 0.0
        _add_up(value, back + 1 - short, back + 1, near[:size])
        _add_up(square, back + 1 - short, back + 1, near_square[:size])
        far[:size] = near[:size]
        _add_up(value, back + 1 - long, back + 1 - short, far[:size])
        for i in range(size):
            end = back + i + 1
            count, far_count = there[end] - there[end - short], there[end] - there[end - max(short, long)]
            mean = near[i] / count if count else 0.0
            far_mean = far[i] / far_count if far_count else 0.0
            out[n + i, 0] = value[end - 1] if there[end] > there[end - 1] else mean
            out[n + i, 1] = mean
            out[n + i, 2] = mean - far_mean
            out[n + i, 3] = np.sqrt(max(near_square[i] / count - mean * mean, 0.0)) if count else 0.0
        n += size


@njit(cache=True, nogil=True)
def _add_up(value: NDArray[np.float64], first: int, last: int, out: NDArray[np.float64]) -> None:
    """Add ``value[first + i : last + i]`` to each ``out[i]``, one after the other."""
    if len(out) < SIDE_BY_SIDE:
        for i in range(len(out)):
            total = out[i]
            for k in range(first + i, last + i):
                total += value[k]
            out[i] = total
        return
    k = first
    while k + 4 <= last:
        a, b, c, d = value[k:], value[k + 1 :], value[k + 2 :], value[k + 3 :]
        for i in range(len(out)):
            out[i] = out[i] + a[i] + b[i] + c[i] + d[i]
        k += 4
    while k < last:
        a = value[k:]
        for i in range(len(out)):
            out[i] += a[i]
        k += 1


@njit(cache=True, nogil=True)
def mean_before(
    values: NDArray[np.float64], place: NDArray[np.int64], counts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Mean of the `counts` rows of `values` that end at each `place`: ``(n, n_columns)``."""
    out = np.zeros((len(place), values.shape[1]))
    for n in range(len(place)):
        total = out[n]
        for k in range(place[n] + 1 - counts[n], place[n] + 1):
            for j in range(len(total)):
                total[j] += values[k, j]
        total /= counts[n]
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


def fitting(panel: Panel, window: int) -> int:
    """Rows of a window: `window`, or a quarter of the longest entity's rows where these are fewer, but at least 16.

    >>> fitting(Panel.of(np.zeros((400, 1))), 224)
    100
    """
    return min(window, max(16, int(panel.lengths.max()) // 4))
