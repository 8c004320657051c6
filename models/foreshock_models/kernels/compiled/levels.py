"""Levels of each feature at several time scales, relative to its level of late."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from foreshock_models.kernels.constants import DRIFT_LIMIT, SCALED_LIMIT

__all__ = ["trailing_levels"]


@njit(cache=True, nogil=True)
def trailing_levels(
    x: NDArray[np.float64], starts: NDArray[np.int64], rows: NDArray[np.int64], scales: int, memory: int
) -> NDArray[np.float64]:
    """Means of the last 1, 2, 4, 8 ... rows of each feature: ``(len(rows), n_features * scales)``.

    From each value, the mean of the last `memory` rows is subtracted first, in which no row counts for more than
    `DRIFT_LIMIT`, and rows before the first one count as 0. Columns are feature by feature.

    Parameters
    ----------
    x
        ``(n_rows, n_features)`` scaled values without gaps.
    starts
        ``(len(rows),)``: first row of the entity that each of `rows` belongs to.
    rows
        Numbers of rows, increasing.
    """
    n_features = x.shape[1]
    out = np.empty((len(rows), n_features * scales))
    back = memory - 1 + (1 << (scales - 1)) - 1
    n = 0
    while n < len(rows):
        size = 1
        while n + size < len(rows) and rows[n + size] == rows[n] + size and starts[n + size] == starts[n]:
            size += 1
        first = max(rows[n] - back, starts[n])  # sums begin here, whatever other rows there are
        count = rows[n] + size - first
        limited, total = np.zeros(count + 1), np.zeros(count + 1)
        for j in range(n_features):
            for k in range(count):
                v = x[first + k, j]
                limited[k + 1] = limited[k] + min(max(v, -DRIFT_LIMIT), DRIFT_LIMIT)
                drift = (limited[k + 1] - limited[max(k + 1 - memory, 0)]) / memory
                total[k + 1] = total[k] + min(max(v - drift, -SCALED_LIMIT), SCALED_LIMIT)
            for i in range(size):
                end = count - size + i + 1
                for s in range(scales):
                    begin = max(end - (1 << s), 0)
                    out[n + i, j * scales + s] = (total[end] - total[begin]) / (end - begin)
        n += size
    return out
