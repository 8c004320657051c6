"""Reference: levels of each feature at several time scales, relative to its level of late."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foreshock_models.kernels.constants import DRIFT_LIMIT, SCALED_LIMIT

__all__ = ["trailing_levels"]


def trailing_levels(
    x: NDArray[np.float64], starts: NDArray[np.int64], rows: NDArray[np.int64], scales: int, memory: int
) -> NDArray[np.float64]:
    """Means of the last 1, 2, 4, 8 ... centred rows of each feature: ``(len(rows), n_features * scales)``."""

    def centred(row: int, start: int) -> NDArray[np.float64]:
        before = x[max(row - memory + 1, start) : row + 1]
        drift = np.clip(before, -DRIFT_LIMIT, DRIFT_LIMIT).sum(axis=0) / memory
        away: NDArray[np.float64] = np.clip(x[row] - drift, -SCALED_LIMIT, SCALED_LIMIT)
        return away

    out = np.empty((len(rows), x.shape[1], scales))
    for n, (row, start) in enumerate(zip(rows, starts, strict=True)):
        for s in range(scales):
            first = max(row - (1 << s) + 1, start)
            out[n, :, s] = np.mean([centred(k, start) for k in range(first, row + 1)], axis=0)
    return out.reshape(len(rows), -1)
