"""Raw scores of the isolation forest, from values to contributions in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from foreshock_models.kernels.compiled.scaling import scale
from foreshock_models.kernels.compiled.trees import BLOCK, add_path_lengths
from foreshock_models.kernels.compiled.windows import N_STATISTICS, column_statistics, trailing_mean, trailing_rows
from foreshock_models.kernels.constants import MAX_DISTANCE

__all__ = ["contributions", "excess"]


@njit(cache=True, nogil=True)
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
    """Contribution of each feature to the smoothed raw score of `rows`: ``(len(rows), n_features)``.

    Scaling, window statistics, trees and smoothing happen in one compiled call: for one row, five calls from Python
    would cost more than the work.

    Parameters
    ----------
    entities, center, spread
        As in `scale`.
    short, long
        As in `window_statistics`.
    smoothing
        Rows of the trailing mean.
    trees, floor, size, weight
        As in `excess`.
    """
    needed, starts, places, counts = trailing_rows(offsets, rows, smoothing)
    z = scale(values, offsets, entities, center, spread)
    return trailing_mean(excess(z, starts, needed, short, long, trees, floor, size, weight), places, counts)


@njit(cache=True, nogil=True)
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
    """Isolation score above the floor, times the distance of the row: ``(len(rows), n_features)``.

    Rows are processed in blocks that stay in the cache.

    Parameters
    ----------
    z
        ``(n_rows, n_features)`` scaled values.
    trees
        ``threshold, feature, depth, levels, normal`` as in `isolation_scores`, one forest per feature.
    floor
        ``(n_features,)``: isolation scores up to this count as none.
    size
        ``(n_features, 4)``: unit of the distance of each window statistic.
    weight
        ``(n_features,)``: weight of each feature.
    """
    threshold, feature, depth, levels, normal = trees
    n_features = z.shape[1]
    n_trees = len(threshold) // n_features
    out = np.zeros((len(rows), n_features))
    block = np.empty((BLOCK, N_STATISTICS), np.float32)
    total = np.empty(BLOCK)
    for first in range(0, len(rows), BLOCK):
        last = min(first + BLOCK, len(rows))
        x, lengths = block[: last - first], total[: last - first]
        for j in range(n_features):
            column_statistics(z, j, starts[first:last], rows[first:last], short, long, x)
            own = slice(j * n_trees, (j + 1) * n_trees)
            lengths[:] = 0.0
            add_path_lengths(x, threshold[own], feature[own], depth[own], levels[j], lengths)
            exponent = -1.0 / (n_trees * normal[j]) if normal[j] > 0 else 0.0
            line = np.log2(floor[j]) - 1e-9  # most rows lie below, and need no power
            for i in range(len(x)):
                if lengths[i] * exponent <= line:
                    continue
                over = 2.0 ** (lengths[i] * exponent) - floor[j]
                if over > 0.0:
                    distance = 1.0
                    for k in range(N_STATISTICS):
                        distance = max(distance, abs(np.float64(x[i, k])) / size[j, k])
                    out[first + i, j] = over * min(distance, MAX_DISTANCE) * weight[j]
    return out
