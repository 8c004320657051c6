"""How far features have moved of late."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from foreshock_models.kernels.constants import HALF_VOLATILITY, RECENT_ROWS

__all__ = ["recent_change"]


@njit(cache=True, nogil=True)
def recent_change(
    values: NDArray[np.float64],
    rows: NDArray[np.int64],
    starts: NDArray[np.int64],
    value_range: NDArray[np.float64],
    before: int,
) -> NDArray[np.float64]:
    """Largest distance of the recent rows from the mean of those before, in units of the range ``(n, n_features)``.

    It counts less the more the feature varied before. A feature without a value in the recent rows, or before them,
    has not changed.

    Parameters
    ----------
    rows, starts
        ``(n,)``: number of each row, and the first row of its entity.
    value_range
        ``(n, n_features)``: unit of each feature; where it is 0, the largest value of the rows looked at.
    before
        Rows before the recent ones.
    """
    out = np.zeros((len(rows), values.shape[1]))
    for n in range(len(rows)):
        first = max(starts[n], rows[n] - RECENT_ROWS + 1)
        for j in range(values.shape[1]):
            mean, square, largest, count = 0.0, 0.0, 0.0, 0
            for k in range(max(starts[n], first - before), first):
                v = values[k, j]
                if v == v:
                    count += 1
                    step = v - mean
                    mean += step / count
                    square += step * (v - mean)  # Welford, 1962
                    largest = max(largest, abs(v))
            if count == 0:
                continue
            distance = 0.0
            for k in range(first, rows[n] + 1):
                v = values[k, j]
                if v == v:
                    distance = max(distance, abs(v - mean))
                    largest = max(largest, abs(v))
            unit = value_range[n, j] if value_range[n, j] > 0 else largest
            if unit > 0 and distance > 0.0:
                volatility = np.sqrt(square / count)
                out[n, j] = distance / unit * distance / (distance + HALF_VOLATILITY * volatility)
    return out
