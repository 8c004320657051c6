"""Statistics of trailing windows."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["column_statistics", "forward_fill", "trailing_mean", "trailing_rows", "window_statistics"]


def window_statistics(
    z: NDArray[np.float64], starts: NDArray[np.int64], rows: NDArray[np.int64], short: int, long: int
) -> NDArray[np.float32]:
    """See `compiled.windows.window_statistics`."""
    out = np.empty((z.shape[1], len(rows), 4), np.float32)
    for j in range(z.shape[1]):
        column_statistics(z, j, starts, rows, short, long, out[j])
    return out


def column_statistics(
    z: NDArray[np.float64],
    j: int,
    starts: NDArray[np.int64],
    rows: NDArray[np.int64],
    short: int,
    long: int,
    out: NDArray[np.float32],
) -> None:
    """See `compiled.windows.column_statistics`."""
    for n, (row, start) in enumerate(zip(rows, starts, strict=True)):
        column = z[: row + 1, j]
        near = column[max(start, row + 1 - short) :]
        far = column[max(start, row + 1 - max(short, long)) :]
        near, far = near[~np.isnan(near)], far[~np.isnan(far)]
        mean = near.mean() if len(near) else 0.0
        far_mean = far.mean() if len(far) else 0.0
        value = mean if np.isnan(column[-1]) else column[-1]
        out[n] = value, mean, mean - far_mean, near.std() if len(near) else 0.0


def trailing_rows(
    offsets: NDArray[np.int64], rows: NDArray[np.int64], length: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """See `compiled.windows.trailing_rows`."""
    first_of = offsets[np.searchsorted(offsets, rows, side="right") - 1]
    counts = np.minimum(rows - first_of + 1, length)
    windows = [np.arange(row + 1 - count, row + 1) for row, count in zip(rows, counts, strict=True)]
    needed = np.unique(np.concatenate(windows)) if windows else np.empty(0, np.int64)
    starts = offsets[np.searchsorted(offsets, needed, side="right") - 1]
    return needed, starts, np.searchsorted(needed, rows), counts


def trailing_mean(
    values: NDArray[np.float64], places: NDArray[np.int64], counts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """See `compiled.windows.trailing_mean`."""
    means = [values[p + 1 - count : p + 1].mean(axis=0) for p, count in zip(places, counts, strict=True)]
    return np.array(means).reshape(len(places), values.shape[1])


def forward_fill(scaled: NDArray[np.float64], offsets: NDArray[np.int64], limit: int) -> NDArray[np.float64]:
    """See `compiled.windows.forward_fill`."""
    out = np.zeros_like(scaled)
    for first, stop in pairwise(offsets):
        for i in range(first, stop):
            for j in range(scaled.shape[1]):
                recent = scaled[max(first, i + 1 - limit) : i + 1, j]
                known = recent[~np.isnan(recent)]
                out[i, j] = known[-1] if len(known) else 0.0
    return out
