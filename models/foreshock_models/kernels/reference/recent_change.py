"""How far features have moved of late."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foreshock_models.kernels.constants import HALF_VOLATILITY, RECENT_ROWS

__all__ = ["recent_change"]


def recent_change(
    values: NDArray[np.float64],
    rows: NDArray[np.int64],
    starts: NDArray[np.int64],
    value_range: NDArray[np.float64],
    before: int,
) -> NDArray[np.float64]:
    """See `compiled.recent_change.recent_change`."""
    out = np.zeros((len(rows), values.shape[1]))
    for n, (row, start) in enumerate(zip(rows, starts, strict=True)):
        first = max(start, row - RECENT_ROWS + 1)
        for j in range(values.shape[1]):
            older, recent = values[max(start, first - before) : first, j], values[first : row + 1, j]
            older, recent = older[~np.isnan(older)], recent[~np.isnan(recent)]
            if len(older) == 0 or len(recent) == 0:
                continue
            distance = np.abs(recent - older.mean()).max()
            unit = value_range[n, j] if value_range[n, j] > 0 else np.abs(np.r_[older, recent]).max()
            if unit > 0 and distance > 0:
                out[n, j] = distance / unit * distance / (distance + HALF_VOLATILITY * older.std())
    return out
