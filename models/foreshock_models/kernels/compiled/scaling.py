"""Per-entity scaling of values."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from foreshock_models.kernels.constants import SCALED_LIMIT

__all__ = ["scale"]


@njit(cache=True, nogil=True)
def scale(
    values: NDArray[np.float64],
    offsets: NDArray[np.int64],
    entities: NDArray[np.int64],
    center: NDArray[np.float64],
    spread: NDArray[np.float64],
) -> NDArray[np.float64]:
    """``(values - center) / spread``, clipped; a gap stays NaN: ``(n_rows, n_features)``.

    Parameters
    ----------
    entities
        ``(n_entities,)``: row of each entity in `center` and `spread` ``(n_known, n_features)``.
    """
    out = np.empty(values.shape)
    for e in range(len(offsets) - 1):
        known = entities[e]
        for i in range(offsets[e], offsets[e + 1]):
            for j in range(values.shape[1]):
                z = (values[i, j] - center[known, j]) / spread[known, j]
                if z > SCALED_LIMIT:
                    z = SCALED_LIMIT
                elif z < -SCALED_LIMIT:
                    z = -SCALED_LIMIT
                out[i, j] = z  # a gap is neither, and stays NaN
    return out
