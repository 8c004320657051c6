"""Windows and gradients by finite differences, for the references of the networks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from foreshock_models.kernels.constants import MAX_EXCESS

__all__ = ["excess_gradient", "gather_windows"]

Array = NDArray[np.float32]
STEP = 1e-6


def gather_windows(x: Array, starts: NDArray[np.int64], rows: NDArray[np.int64], span: int) -> Array:
    """Return the window of `span` rows that ends at each of `rows`: ``(n, span, n_features)``."""
    at = np.maximum(rows[:, None] + np.arange(-span + 1, 1), starts[:, None])
    return x[at]


def excess_gradient(
    last_row: Callable[[NDArray[np.float64]], NDArray[np.float64]], windows: Array, weights: Array, usual: Array
) -> Array:
    """Return the gradient of the weighted excess of the residuals ``(n, span, n_features)``.

    Parameters
    ----------
    last_row
        Prediction for the last row of each window.
    """

    def total(w: NDArray[np.float64]) -> NDArray[np.float64]:
        residual = np.abs(w[:, -1] - last_row(w))
        return (np.clip(residual / usual - 1.0, 0.0, MAX_EXCESS) * weights).sum(axis=1)

    w = windows.astype(np.float64)
    out = np.empty_like(windows)
    for s in range(windows.shape[1]):
        for j in range(windows.shape[2]):
            up, down = w.copy(), w.copy()
            up[:, s, j] += STEP
            down[:, s, j] -= STEP
            out[:, s, j] = (total(up) - total(down)) / (2 * STEP)
    return out
