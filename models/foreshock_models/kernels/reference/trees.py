"""Isolation trees, walked node by node."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["add_path_lengths", "isolation_scores"]


def add_path_lengths(
    rows: NDArray[np.float32],
    threshold: NDArray[np.float32],
    feature: NDArray[np.uint8],
    depth: NDArray[np.float64],
    levels: int,
    total: NDArray[np.float64],
) -> None:
    """See `compiled.trees.add_path_lengths`."""
    places = depth.shape[1]
    for i, row in enumerate(rows):
        for t in range(len(threshold)):
            node = 1
            while node < places:  # below the leaves of a shallow forest nothing exceeds the threshold
                node = 2 * node + int(row[feature[t, node]] > threshold[t, node])
            total[i] += depth[t, node - places]


def isolation_scores(
    x: NDArray[np.float32],
    threshold: NDArray[np.float32],
    feature: NDArray[np.uint8],
    depth: NDArray[np.float64],
    levels: NDArray[np.int64],
    normal: NDArray[np.float64],
) -> NDArray[np.float64]:
    """See `compiled.trees.isolation_scores`."""
    n_forests, n_rows, _ = x.shape
    forests = [np.split(part, n_forests) for part in (threshold, feature, depth)]
    out = np.ones((n_rows, n_forests))
    for f, (limits, columns, depths) in enumerate(zip(*forests, strict=True)):
        total = np.zeros(n_rows)
        add_path_lengths(x[f], limits, columns, depths, int(levels[f]), total)
        if normal[f] > 0:
            out[:, f] = 2.0 ** (-total / len(limits) / normal[f])
    return out
