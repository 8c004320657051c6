"""How far the values of a row are outside of their usual band."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from foreshock_models.kernels.constants import MAX_EXCESS, MIN_BAND

__all__ = ["deviations"]

HOUR_MS = 3_600_000


@njit(cache=True, nogil=True)
def deviations(
    values: NDArray[np.float64],
    timestamps: NDArray[np.int64],
    offsets: NDArray[np.int64],
    places: NDArray[np.int64],
    table: NDArray[np.float32],
    value_range: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Mean over the features of the distance from the usual band, in widths of the band: ``(n_rows,)``.

    0: all values are within their bands. A feature counts at most `MAX_EXCESS`, and 0 where it has no sample or no
    band; NaN where that is so of all features.

    Parameters
    ----------
    places
        ``(n_entities,)``: row of each entity in `table` and `value_range`.
    table
        ``(n_known, 24, 3, n_features)``: lower end, median and upper end of the band, by hour of the day in UTC.
    value_range
        ``(n_known, n_features)``: distance from the lowest to the highest value.
    """
    n_features = values.shape[1]
    out = np.empty(len(values))
    for e in range(len(places)):
        own = places[e]
        for i in range(offsets[e], offsets[e + 1]):
            band = table[own, timestamps[i] // HOUR_MS % 24]
            total, known = 0.0, 0
            for j in range(n_features):
                lower, upper, value = np.float64(band[0, j]), np.float64(band[2, j]), values[i, j]
                away = max(lower - value, value - upper, 0.0)
                if away != away or lower != lower or value != value:
                    continue
                known += 1
                width = max(upper - lower, MIN_BAND * value_range[own, j])
                if away > 0.0:
                    total += min(away / width, MAX_EXCESS) if width > 0.0 else MAX_EXCESS
            out[i] = total / n_features if known > 0 else np.nan
    return out
