"""Choice of rows of a panel."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["pick_rows", "rows_since"]


@njit(cache=True, nogil=True)
def rows_since(
    timestamps: NDArray[np.int64], offsets: NDArray[np.int64], since: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Numbers of the rows at or after the time that `since` ``(n_entities,)`` gives for their entity."""
    rows = np.empty(len(timestamps), np.int64)
    n = 0
    for e in range(len(since)):
        for i in range(offsets[e], offsets[e + 1]):
            if timestamps[i] >= since[e]:
                rows[n] = i
                n += 1
    return rows[:n].copy()


@njit(cache=True, nogil=True)
def pick_rows(
    values: NDArray[np.float64], timestamps: NDArray[np.int64], offsets: NDArray[np.int64], rows: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Values, times and offsets of `rows` ``(n,)``, increasing, and the numbers of the entities that remain."""
    some = np.empty((len(rows), values.shape[1]))
    times = np.empty(len(rows), np.int64)
    ends = np.zeros(len(offsets), np.int64)
    kept = np.empty(len(offsets) - 1, np.int64)
    entity, n = -1, 0
    for k in range(len(rows)):
        i = rows[k]
        if entity < 0 or i >= offsets[entity + 1]:
            while i >= offsets[entity + 1]:
                entity += 1
            kept[n] = entity
            n += 1
        for j in range(values.shape[1]):
            some[k, j] = values[i, j]
        times[k] = timestamps[i]
        ends[n] = k + 1
    return some, times, ends[: n + 1].copy(), kept[:n].copy()
