"""Statistics of trailing windows: each looks at a row and at rows before it in the same entity."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = [
    "N_STATISTICS",
    "column_statistics",
    "forward_fill",
    "trailing_mean",
    "trailing_rows",
    "window_statistics",
]

N_STATISTICS = 4
BLOCK = 256
"""Rows whose statistics are computed at a time."""
SIDE_BY_SIDE = 8
"""From so many consecutive rows on, their sums fill the lanes of a vector."""


@njit(cache=True, nogil=True)
def window_statistics(
    z: NDArray[np.float64], starts: NDArray[np.int64], rows: NDArray[np.int64], short: int, long: int
) -> NDArray[np.float32]:
    """Level, trend and spread of each feature: ``(n_rows, n_features)`` -> ``(n_features, len(rows), 4)``.

    The statistics are: the value, the mean of the last `short` rows, that mean less the mean of the last `long`
    rows, and the standard deviation of the last `short` rows. Gaps are ignored; a window without any value gives 0.
    Sums are computed from scratch for each row: a running sum would depend on where the series begins.

    Parameters
    ----------
    starts
        ``(len(rows),)``: first row of the entity that each of `rows` belongs to.
    """
    out = np.empty((z.shape[1], len(rows), N_STATISTICS), np.float32)
    for first in range(0, len(rows), BLOCK):
        last = min(first + BLOCK, len(rows))
        for j in range(len(out)):
            column_statistics(z, j, starts[first:last], rows[first:last], short, long, out[j, first:last])
    return out


@njit(cache=True, nogil=True)
def column_statistics(
    z: NDArray[np.float64],
    j: int,
    starts: NDArray[np.int64],
    rows: NDArray[np.int64],
    short: int,
    long: int,
    out: NDArray[np.float32],
) -> None:
    """`window_statistics` of feature `j` at `rows` ``(n,)``, into `out` ``(n, 4)``.

    Consecutive rows are added up side by side, each with its own sum in the order of time.
    """
    back = max(short, long) - 1
    value, square = np.empty(back + len(rows)), np.empty(back + len(rows))
    present = np.zeros(back + len(rows) + 1, np.int64)  # values so far
    near, near_square, far = np.empty(len(rows)), np.empty(len(rows)), np.empty(len(rows))
    n = 0
    while n < len(rows):
        size = 1
        while n + size < len(rows) and rows[n + size] == rows[n] + size and starts[n + size] == starts[n]:
            size += 1
        for k in range(back + size):
            row = rows[n] - back + k
            v = z[row, j] if row >= starts[n] else np.nan
            present[k + 1] = present[k] + (v == v)
            value[k] = v if v == v else 0.0
            square[k] = value[k] * value[k]
        near[:size], near_square[:size] = 0.0, 0.0
        _moving_sum(value, back + 1 - short, back + 1, near[:size])
        _moving_sum(square, back + 1 - short, back + 1, near_square[:size])
        for i in range(size):
            far[i] = near[i]
        _moving_sum(value, back + 1 - long, back + 1 - short, far[:size])
        for i in range(size):
            end = back + i + 1
            count, far_count = present[end] - present[end - short], present[end] - present[end - max(short, long)]
            mean = near[i] / count if count else 0.0
            far_mean = far[i] / far_count if far_count else 0.0
            out[n + i, 0] = value[end - 1] if present[end] > present[end - 1] else mean
            out[n + i, 1] = mean
            out[n + i, 2] = mean - far_mean
            out[n + i, 3] = np.sqrt(max(near_square[i] / count - mean * mean, 0.0)) if count else 0.0
        n += size


@njit(cache=True, nogil=True)
def _moving_sum(value: NDArray[np.float64], first: int, last: int, out: NDArray[np.float64]) -> None:
    """Add ``value[first + i : last + i]`` to each ``out[i]``, in the order of time."""
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
def trailing_rows(
    offsets: NDArray[np.int64], rows: NDArray[np.int64], length: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Rows within the trailing windows of `length` rows that end at `rows` ``(n,)``, increasing.

    Returns
    -------
    needed, starts
        ``(n_needed,)``: numbers of all these rows, increasing, and the first row of the entity of each.
    places, counts
        ``(n,)``: index of each of `rows` in `needed`, and the rows of its window, fewer at the start of an entity.
    """
    needed = np.empty(min(len(rows) * length, offsets[-1]), np.int64)
    starts = np.empty_like(needed)
    places = np.empty(len(rows), np.int64)
    counts = np.empty(len(rows), np.int64)
    entity, last, total = 0, -1, 0
    for n in range(len(rows)):
        row = rows[n]
        while offsets[entity + 1] <= row:
            entity += 1
        start = offsets[entity]
        counts[n] = min(row - start + 1, length)
        for k in range(max(row - counts[n], last) + 1, row + 1):
            needed[total] = k
            starts[total] = start
            total += 1
        last = row
        places[n] = total - 1
    return needed[:total].copy(), starts[:total].copy(), places, counts


@njit(cache=True, nogil=True)
def trailing_mean(
    values: NDArray[np.float64], places: NDArray[np.int64], counts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Mean of the `counts` rows of `values` that end at each of `places`: ``(n, n_columns)``."""
    out = np.zeros((len(places), values.shape[1]))
    for n in range(len(places)):
        total = out[n]
        for k in range(places[n] + 1 - counts[n], places[n] + 1):
            for j in range(len(total)):
                total[j] += values[k, j]
        total /= counts[n]
    return out


@njit(cache=True, nogil=True)
def forward_fill(scaled: NDArray[np.float64], offsets: NDArray[np.int64], limit: int) -> NDArray[np.float64]:
    """Fill each gap with the last value if that is less than `limit` rows old, else with 0: ``(n_rows, F)``."""
    n, f = scaled.shape
    out = np.zeros((n, f))
    last = np.empty(f, np.int64)
    for e in range(len(offsets) - 1):
        last[:] = offsets[e] - limit
        for i in range(offsets[e], offsets[e + 1]):
            for j in range(f):
                v = scaled[i, j]
                if v == v:
                    out[i, j] = v
                    last[j] = i
                elif i - last[j] < limit:
                    out[i, j] = scaled[last[j], j]
    return out
