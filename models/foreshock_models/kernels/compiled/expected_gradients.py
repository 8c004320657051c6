"""Expected gradients: windows on the paths from a background to the input, and the sum along them."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["integrate", "interpolate"]

Array = NDArray[np.float32]


@njit(cache=True, nogil=True)
def interpolate(rows: Array, mask: Array, starts: Array, alphas: Array) -> tuple[Array, Array]:
    """Windows on all paths, and the weights of their parts.

    Parameters
    ----------
    rows
        ``(n, span + count - 1, n_features)``: rows of the `count` windows of each score to explain.
    mask
        ``(n, count, n_features)``: 1 where the last row of a window has a sample.
    starts
        ``(count, n_paths, span, n_features)``: background window that each path begins at.
    alphas
        ``(count, n_paths, n_points)``: position of each point on its path, 0 to 1.

    Returns
    -------
    windows ``(n * count * n_paths * n_points, span, n_features)``, weights ``(same, n_features)``
    """
    count, n_paths, span, f = starts.shape
    n_points = alphas.shape[2]
    windows = np.empty((len(rows) * count * n_paths * n_points, span, f), np.float32)
    weights = np.empty((len(windows), f), np.float32)
    at = 0
    for n in range(len(rows)):
        for c in range(count):
            for i in range(n_paths):
                for k in range(n_points):
                    alpha = alphas[c, i, k]
                    for s in range(span):
                        for j in range(f):
                            start = starts[c, i, s, j]
                            windows[at, s, j] = start + alpha * (rows[n, c + s, j] - start)
                    for j in range(f):
                        weights[at, j] = mask[n, c, j] / f
                    at += 1
    return windows, weights


@njit(cache=True, nogil=True)
def integrate(rows: Array, starts: Array, gradients: Array) -> NDArray[np.float64]:
    """Mean over all points of gradient times path: the attribution of each feature ``(n, n_features)``.

    Parameters
    ----------
    rows, starts
        As in `interpolate`.
    gradients
        Gradients at the windows of `interpolate`, of the same shape.
    """
    count, n_paths, span, f = starts.shape
    each = len(gradients) // len(rows)
    n_points = each // (count * n_paths)
    out = np.zeros((len(rows), f))
    at = 0
    for n in range(len(rows)):
        for c in range(count):
            for i in range(n_paths):
                for _ in range(n_points):
                    for s in range(span):
                        for j in range(f):
                            out[n, j] += (rows[n, c + s, j] - starts[c, i, s, j]) * gradients[at, s, j]
                    at += 1
    return out / each
