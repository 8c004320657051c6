"""Per-entity scaling of values."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foreshock_models.kernels.constants import SCALED_LIMIT

__all__ = ["scale"]


def scale(
    values: NDArray[np.float64],
    offsets: NDArray[np.int64],
    entities: NDArray[np.int64],
    center: NDArray[np.float64],
    spread: NDArray[np.float64],
) -> NDArray[np.float64]:
    """See `compiled.scaling.scale`."""
    rows = np.repeat(entities, np.diff(offsets))
    return np.clip((values - center[rows]) / spread[rows], -SCALED_LIMIT, SCALED_LIMIT)
