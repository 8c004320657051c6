"""How far the values of a row are outside of their usual band, in plain NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foreshock_models.kernels.constants import MAX_EXCESS, MIN_BAND

__all__ = ["deviations"]


def deviations(
    values: NDArray[np.float64],
    timestamps: NDArray[np.int64],
    offsets: NDArray[np.int64],
    places: NDArray[np.int64],
    table: NDArray[np.float32],
    value_range: NDArray[np.float64],
) -> NDArray[np.float64]:
    """See `compiled.deviation.deviations`."""
    own = np.repeat(places, np.diff(offsets))
    band = table[own, timestamps // 3_600_000 % 24].astype(np.float64)  # (n_rows, 3, n_features)
    lower, upper = band[:, 0], band[:, 2]
    known = ~(np.isnan(values) | np.isnan(lower) | np.isnan(upper))
    width = np.maximum(upper - lower, MIN_BAND * value_range[own])
    away = np.where(known, np.maximum(np.maximum(lower - values, values - upper), 0.0), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        excess = np.where(away > 0, np.minimum(away / width, MAX_EXCESS), 0.0)
    return np.where(known.any(axis=1), excess.sum(axis=1) / values.shape[1], np.nan)
