"""Choice of rows of a panel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["pick_rows", "rows_since"]


def rows_since(
    timestamps: NDArray[np.int64], offsets: NDArray[np.int64], since: NDArray[np.int64]
) -> NDArray[np.int64]:
    """See `compiled.rows.rows_since`."""
    return np.flatnonzero(timestamps >= np.repeat(since, np.diff(offsets)))


def pick_rows(
    values: NDArray[np.float64], timestamps: NDArray[np.int64], offsets: NDArray[np.int64], rows: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """See `compiled.rows.pick_rows`."""
    counts = np.histogram(rows, offsets)[0] if len(rows) else np.zeros(len(offsets) - 1, np.int64)
    kept = np.flatnonzero(counts)
    return values[rows], timestamps[rows], np.cumsum(np.r_[0, counts[kept]]), kept
