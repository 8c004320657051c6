"""Inputs of a network, and the raw score made from what it predicts."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from foreshock_models.kernels.compiled.activations import ONE, Array
from foreshock_models.kernels.compiled.windows import trailing_mean, trailing_rows
from foreshock_models.kernels.constants import INPUT_LIMIT, MAX_EXCESS

__all__ = [
    "Inputs",
    "network_inputs",
    "prepare",
    "residual_gradient",
    "smoothed_excess",
]

Inputs = tuple[
    NDArray[np.float64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64],
    NDArray[np.int64], int, int,
]  # fmt: skip
"""Arguments of `prepare`."""


@njit(cache=True, nogil=True)
def network_inputs(
    values: NDArray[np.float64],
    offsets: NDArray[np.int64],
    entities: NDArray[np.int64],
    center: NDArray[np.float64],
    spread: NDArray[np.float64],
    limit: int,
) -> tuple[Array, Array]:
    """Scaled rows, and which samples are present: ``(n_rows, n_features)`` each.

    A gap is filled with the last value if that is less than `limit` rows old, else with 0.

    Parameters
    ----------
    entities
        ``(n_entities,)``: row of each entity in `center` and `spread`.
    """
    n, f = values.shape
    x = np.zeros((n, f), np.float32)
    present = np.zeros((n, f), np.float32)
    last = np.empty(f, np.int64)
    for e in range(len(offsets) - 1):
        own = entities[e]
        last[:] = offsets[e] - limit
        for i in range(offsets[e], offsets[e + 1]):
            for j in range(f):
                z = (values[i, j] - center[own, j]) / spread[own, j]
                if z == z:
                    x[i, j] = min(max(z, -INPUT_LIMIT), INPUT_LIMIT)
                    present[i, j] = 1.0
                    last[j] = i
                elif i - last[j] < limit:
                    x[i, j] = x[last[j], j]
    return x, present


@njit(cache=True, nogil=True)
def prepare(
    values: NDArray[np.float64],
    offsets: NDArray[np.int64],
    entities: NDArray[np.int64],
    center: NDArray[np.float64],
    spread: NDArray[np.float64],
    rows: NDArray[np.int64],
    smoothing: int,
    span: int,
) -> tuple[Array, Array, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Inputs for the raw score of `rows`: those of `network_inputs`, and the rows of `trailing_rows`."""
    x, present = network_inputs(values, offsets, entities, center, spread, span)
    needed, starts, places, counts = trailing_rows(offsets, rows, smoothing)
    return x, present, needed, starts, places, counts


@njit(cache=True, nogil=True)
def smoothed_excess(
    x: Array,
    present: Array,
    needed: NDArray[np.int64],
    predicted: Array,
    usual: NDArray[np.float64],
    places: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Raw score ``(n,)``: mean over features and trailing rows of what residuals exceed their usual size by.

    Parameters
    ----------
    predicted
        ``(n_needed, n_features)``: prediction for each of the rows `needed`.
    usual
        ``(n_features,)``: usual size of the residuals.
    places, counts
        As `trailing_rows` returns them.
    """
    f = x.shape[1]
    out = np.zeros((len(needed), 1))
    for n in range(len(needed)):
        for j in range(f):
            if present[needed[n], j] > 0:
                residual = abs(np.float64(x[needed[n], j]) - np.float64(predicted[n, j]))
                out[n, 0] += min(max(residual / usual[j] - 1.0, 0.0), MAX_EXCESS) / f
    return trailing_mean(out, places, counts).ravel()


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def residual_gradient(last: Array, predicted: Array, weights: Array, usual: Array) -> Array:
    """Gradient ``(n, n_features)`` of the weighted excess with regard to the last row of each window.

    With regard to the prediction, it is the opposite.
    """
    out = np.empty_like(last)
    for b in range(last.shape[0]):
        for j in range(last.shape[1]):
            residual = last[b, j] - predicted[b, j]
            part = abs(residual) / usual[j] - ONE
            inside = part >= 0.0 and part <= MAX_EXCESS
            out[b, j] = np.sign(residual) * weights[b, j] / usual[j] if inside else np.float32(0.0)
    return out
