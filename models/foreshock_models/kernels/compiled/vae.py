"""The variational autoencoder forward and backward; see `foreshock_models.kernels.compiled.lstm`."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from foreshock_models.kernels.compiled.activations import HALF, ONE, Array, add_bias_silu, tanh
from foreshock_models.kernels.compiled.residuals import Inputs, prepare, residual_gradient, smoothed_excess

__all__ = ["BLOCK", "GRADIENT_BLOCK", "gradients", "predict", "raw_scores"]

BLOCK = 128
"""Windows that go through the network together: their state stays in the cache."""
GRADIENT_BLOCK = 64
"""Windows that go forward and backward together."""


@njit(cache=True, nogil=True)
def raw_scores(
    inputs: Inputs, usual: NDArray[np.float64], weights: tuple[Array, ...], biases: tuple[Array, ...]
) -> NDArray[np.float64]:
    """Raw score ``(n,)`` of the rows that `inputs` asks for (see `prepare`), in one compiled call."""
    x, present, needed, starts, places, counts = prepare(*inputs)
    predicted = predict(x, starts, needed, inputs[-1], weights, biases)
    return smoothed_excess(x, present, needed, predicted, usual, places, counts)


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def predict(
    x: Array,
    starts: NDArray[np.int64],
    rows: NDArray[np.int64],
    span: int,
    weights: tuple[Array, ...],
    biases: tuple[Array, ...],
) -> Array:
    """Last row of the window of `span` rows that ends at each of `rows`, as reconstructed: ``(n, n_features)``.

    Parameters
    ----------
    x, starts
        As in `foreshock_models.kernels.compiled.lstm.predict`.
    weights, biases
        Of the two layers of the encoder, of the latent mean, of the two layers of the decoder; of the last one, the
        part that makes the last row ``(F, H)``.
    """
    f = x.shape[1]
    out = np.empty((len(rows), f), np.float32)
    for first in range(0, len(rows), BLOCK):
        n = min(BLOCK, len(rows) - first)
        windows = np.empty((n, span * f), np.float32)
        for b in range(n):
            for step in range(span):
                row = max(rows[first + b] - span + 1 + step, starts[first + b])
                for j in range(f):
                    windows[b, step * f + j] = x[row, j]
        code = add_bias_silu(np.dot(windows, weights[0].T), biases[0])
        code = add_bias_silu(np.dot(code, weights[1].T), biases[1])
        latent = np.dot(code, weights[2].T) + biases[2]
        rebuilt = np.dot(add_bias_silu(np.dot(latent, weights[3].T), biases[3]), weights[4].T)
        for b in range(n):
            for j in range(f):
                out[first + b, j] = rebuilt[b, j] + biases[4][j]
    return out


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _silu_and_slope(rows: Array, bias: Array) -> Array:
    """``v * sigmoid(v)`` of ``v = rows + bias``, in place; returns its derivative."""
    slope = np.empty_like(rows)
    for b in range(rows.shape[0]):
        for k in range(rows.shape[1]):
            v = rows[b, k] + bias[k]
            share = HALF + HALF * tanh(HALF * v)
            rows[b, k] = v * share
            slope[b, k] = share + rows[b, k] * (ONE - share)
    return slope


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def gradients(
    windows: Array, weights: Array, usual: Array, layers: tuple[Array, ...], biases: tuple[Array, ...]
) -> Array:
    """Gradient ``(n, span, n_features)`` of the weighted sum of the excess of each feature.

    Parameters
    ----------
    windows, weights, usual
        As in `foreshock_models.kernels.compiled.lstm.gradients`; the network reconstructs the whole window.
    layers, biases
        The network, as `predict` takes it.
    """
    total, span, f = windows.shape
    out = np.empty_like(windows)
    for first in range(0, total, GRADIENT_BLOCK):
        n = min(GRADIENT_BLOCK, total - first)
        some = windows[first : first + n]
        code = np.dot(some.reshape(n, span * f), layers[0].T)
        first_slope = _silu_and_slope(code, biases[0])
        code = np.dot(code, layers[1].T)
        second_slope = _silu_and_slope(code, biases[1])
        latent = np.dot(code, layers[2].T) + biases[2]
        code = np.dot(latent, layers[3].T)
        third_slope = _silu_and_slope(code, biases[3])
        predicted = np.dot(code, layers[4].T) + biases[4]
        last = np.ascontiguousarray(some[:, span - 1])
        slope = residual_gradient(last, predicted, weights[first : first + n], usual)

        back = np.dot(-slope, layers[4]) * third_slope
        back = np.dot(np.dot(back, layers[3]), layers[2]) * second_slope
        back = np.dot(back, layers[1]) * first_slope
        of_windows = np.dot(back, layers[0])
        for b in range(n):
            for step in range(span):
                for j in range(f):
                    out[first + b, step, j] = of_windows[b, step * f + j]
            for j in range(f):
                out[first + b, span - 1, j] += slope[b, j]
    return out
