"""Raw scores of the isolation forest."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock_models.kernels.constants import MAX_DISTANCE
from foreshock_models.kernels.reference.scaling import scale
from foreshock_models.kernels.reference.trees import isolation_scores
from foreshock_models.kernels.reference.windows import trailing_mean, trailing_rows, window_statistics

__all__ = ["contributions", "excess"]


def contributions(
    values: NDArray[np.float64],
    offsets: NDArray[np.int64],
    entities: NDArray[np.int64],
    center: NDArray[np.float64],
    spread: NDArray[np.float64],
    rows: NDArray[np.int64],
    short: int,
    long: int,
    smoothing: int,
    trees: tuple[NDArray[Any], ...],
    floor: NDArray[np.float64],
    size: NDArray[np.float64],
    weight: NDArray[np.float64],
) -> NDArray[np.float64]:
    """See `compiled.iforest.contributions`."""
    needed, starts, places, counts = trailing_rows(offsets, rows, smoothing)
    z = scale(values, offsets, entities, center, spread)
    return trailing_mean(excess(z, starts, needed, short, long, trees, floor, size, weight), places, counts)


def excess(
    z: NDArray[np.float64],
    starts: NDArray[np.int64],
    rows: NDArray[np.int64],
    short: int,
    long: int,
    trees: tuple[NDArray[Any], ...],
    floor: NDArray[np.float64],
    size: NDArray[np.float64],
    weight: NDArray[np.float64],
) -> NDArray[np.float64]:
    """See `compiled.iforest.excess`."""
    x = window_statistics(z, starts, rows, short, long)  # (n_features, n, 4)
    over = np.maximum(isolation_scores(x, *trees) - floor, 0.0)
    distance = np.abs(x.astype(np.float64) / size[:, None]).max(axis=2).T  # (n, n_features)
    return over * np.clip(distance, 1.0, MAX_DISTANCE) * weight
