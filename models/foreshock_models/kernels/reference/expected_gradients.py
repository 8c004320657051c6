"""Expected gradients: windows on the paths from a background to the input, and the sum along them."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = ["integrate", "interpolate"]

Array = NDArray[np.float32]


def interpolate(rows: Array, mask: Array, starts: Array, alphas: Array) -> tuple[Array, Array]:
    """See `compiled.expected_gradients.interpolate`."""
    count, n_paths, span, f = starts.shape
    n, n_points = len(rows), alphas.shape[2]
    way = _ends(rows, span)[:, :, None] - starts  # (n, count, n_paths, span, F)
    windows = starts[None, :, :, None] + alphas[None, :, :, :, None, None] * way[:, :, :, None]
    weights = np.broadcast_to((mask / f)[:, :, None, None], (n, count, n_paths, n_points, f))
    return windows.reshape(-1, span, f), weights.reshape(-1, f).astype(np.float32)


def integrate(rows: Array, starts: Array, gradients: Array) -> NDArray[np.float64]:
    """See `compiled.expected_gradients.integrate`."""
    count, n_paths, span, f = starts.shape
    way = _ends(rows, span)[:, :, None] - starts
    slopes = gradients.reshape(len(rows), count, n_paths, -1, span, f).astype(np.float64)
    n_points = slopes.shape[3]
    return (slopes * way[:, :, :, None]).sum(axis=(1, 2, 3, 4)) / (count * n_paths * n_points)


def _ends(rows: Array, span: int) -> Array:
    """The windows to explain: ``(n, span + count - 1, F)`` -> ``(n, count, span, F)``."""
    return sliding_window_view(rows, span, axis=1).swapaxes(2, 3)
