"""Isolation trees, walked level by level.

Each tree is a complete binary tree in arrays: the children of the node at place ``i`` are at ``2 i`` and ``2 i +
1``, the root is at 1. The next node is computed, not looked up (see `foreshock_models.detectors._trees.Forest`).
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["BLOCK", "add_path_lengths", "isolation_scores"]

BLOCK = 256
"""Rows that go down a tree together."""


@njit(cache=True, nogil=True)
def add_path_lengths(
    rows: NDArray[np.float32],
    threshold: NDArray[np.float32],
    feature: NDArray[np.uint8],
    depth: NDArray[np.float64],
    levels: int,
    total: NDArray[np.float64],
) -> None:
    """Add the path lengths of `rows` ``(n, n_columns)`` in the trees of one forest to `total` ``(n,)``.

    All rows go down one tree together, a level at a time: the steps of different rows do not wait for each other,
    and the tree stays in the cache.

    Parameters
    ----------
    threshold, feature
        ``(n_trees, 2 ** deepest)``: a row goes right where its value of the column `feature` is above `threshold`.
    depth
        ``(n_trees, 2 ** deepest)``: path length of each place on the deepest level.
    levels
        Depth of this forest; forests that share the arrays may be deeper.
    """
    width = np.uint32(rows.shape[1])
    values = rows.ravel()
    places = depth.shape[1]
    # a shallower forest has its leaves where turning left all the way down from there ends
    further = places >> levels
    at = np.empty(len(rows), np.uint32)
    for t in range(len(threshold)):
        limit, column, bottom = threshold[t], feature[t], depth[t]
        at[:] = np.uint32(1)
        if levels > 0:  # all rows are at the root
            first, root = column[1], limit[1]
            for i in range(len(rows)):
                at[i] = np.uint32(2) + np.uint32(values[np.uint32(i) * width + first] > root)
        for level in range(1, levels, 2):
            if level + 1 < levels:  # two levels at a time halve the reads and writes between them
                for i in range(len(rows)):
                    node, row = at[i], np.uint32(i) * width
                    node = node + node + np.uint32(values[row + column[node]] > limit[node])
                    at[i] = node + node + np.uint32(values[row + column[node]] > limit[node])
            else:
                for i in range(len(rows)):
                    node = at[i]
                    at[i] = node + node + np.uint32(values[np.uint32(i) * width + column[node]] > limit[node])
        for i in range(len(rows)):
            total[i] += bottom[at[i] * further - places]


@njit(cache=True, nogil=True)
def isolation_scores(
    x: NDArray[np.float32],
    threshold: NDArray[np.float32],
    feature: NDArray[np.uint8],
    depth: NDArray[np.float64],
    levels: NDArray[np.int64],
    normal: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Isolation scores in (0, 1): ``(n_forests, n_rows, n_columns)`` -> ``(n_rows, n_forests)``.

    Parameters
    ----------
    threshold, feature, depth
        As in `add_path_lengths`, the trees of all forests one after the other.
    levels, normal
        ``(n_forests,)``: depth of each forest, and the mean path length that scores 0.5.
    """
    n_forests, n_rows, _ = x.shape
    n_trees = len(threshold) // n_forests
    out = np.zeros((n_rows, n_forests))
    total = np.empty(BLOCK)
    for f in range(n_forests):
        scale = -1.0 / (n_trees * normal[f]) if normal[f] > 0 else 0.0
        trees = slice(f * n_trees, (f + 1) * n_trees)
        for first in range(0, n_rows, BLOCK):
            rows = x[f, first : first + BLOCK]
            total[:] = 0.0
            add_path_lengths(rows, threshold[trees], feature[trees], depth[trees], levels[f], total)
            for i in range(len(rows)):
                out[first + i, f] = 2.0 ** (total[i] * scale)
    return out
