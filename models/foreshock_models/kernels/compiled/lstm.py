"""The LSTM forward and backward.

What is differentiated is the raw score: how far the residual of each feature of the last row of a window exceeds
its usual size. Training gets its gradients from torch.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from foreshock_models.kernels.compiled.activations import HALF, ONE, Array, add_bias_tanh
from foreshock_models.kernels.compiled.residuals import Inputs, prepare, residual_gradient, smoothed_excess

__all__ = ["BLOCK", "GRADIENT_BLOCK", "gradients", "predict", "raw_scores"]

BLOCK = 128
"""Windows that go through the network together: their state stays in the cache."""
GRADIENT_BLOCK = 64
"""Windows that go forward and backward together."""


@njit(cache=True, nogil=True)
def raw_scores(
    inputs: Inputs, usual: NDArray[np.float64], steps: int, weights: tuple[Array, ...]
) -> NDArray[np.float64]:
    """Raw score ``(n,)`` of the rows that `inputs` asks for (see `prepare`), in one compiled call."""
    x, present, needed, starts, places, counts = prepare(*inputs)
    predicted = predict(x, starts, needed, inputs[-1], steps, weights)
    return smoothed_excess(x, present, needed, predicted, usual, places, counts)


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def predict(
    x: Array,
    starts: NDArray[np.int64],
    rows: NDArray[np.int64],
    span: int,
    steps: int,
    weights: tuple[Array, ...],
) -> Array:
    """Prediction ``(n, n_features)`` from the first `steps` of the `span` rows that end at each of `rows` ``(n,)``.

    Parameters
    ----------
    x
        ``(n_rows, n_features)``: inputs, gaps filled.
    starts
        ``(n,)``: first row of the entity of each of `rows`; before it, that row is repeated.
    weights
        Of inputs and state together ``(F + H, 4H)`` and their bias ``(4H,)``, in torch's order of the gates (input,
        forget, cell, output), halved but for the cell; of the head ``(F, H)`` and ``(F,)``; the share of the last
        row that is kept ``(F,)``.
    """
    both, bias, head, head_bias, share = weights
    f, h = x.shape[1], head.shape[1]
    nothing = np.zeros(h, np.float32)
    out = np.empty((len(rows), f), np.float32)
    for first in range(0, len(rows), BLOCK):
        n = min(BLOCK, len(rows) - first)
        given = np.zeros((n, f + h), np.float32)  # the row of this step, and the state after the one before
        gates = np.empty((n, 4 * h), np.float32)
        cell = np.zeros((n, h), np.float32)
        state = np.empty((n, h), np.float32)
        for step in range(steps):
            for b in range(n):
                row = max(rows[first + b] - span + 1 + step, starts[first + b])
                for j in range(f):
                    given[b, j] = x[row, j]
            np.dot(given, both, gates)
            add_bias_tanh(gates, bias)
            for b in range(n):
                for k in range(h):
                    kept = (HALF + HALF * gates[b, h + k]) * cell[b, k]
                    cell[b, k] = kept + (HALF + HALF * gates[b, k]) * gates[b, 2 * h + k]
                    state[b, k] = cell[b, k]
            add_bias_tanh(state, nothing)
            for b in range(n):
                for k in range(h):
                    state[b, k] *= HALF + HALF * gates[b, 3 * h + k]
                    given[b, f + k] = state[b, k]
        ahead = np.dot(state, head.T)
        for b in range(n):
            for j in range(f):
                out[first + b, j] = ahead[b, j] + head_bias[j] + share[j] * given[b, j]
    return out


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def gradients(windows: Array, weights: Array, usual: Array, steps: int, packed: tuple[Array, ...]) -> Array:
    """Gradient ``(n, span, n_features)`` of the weighted sum of the excess of each feature.

    Parameters
    ----------
    windows
        ``(n, span, n_features)``; the network sees the first `steps` rows, and predicts the last.
    weights
        ``(n, n_features)``: weight of each feature's residual in units of `usual` ``(n_features,)``, less 1,
        between 0 and `MAX_EXCESS`.
    packed
        The network, as `predict` takes it.
    """
    both, bias, head, head_bias, share = packed
    total, span, f = windows.shape
    h = head.shape[1]
    out = np.zeros_like(windows)
    nothing = np.zeros(h, np.float32)
    for first in range(0, total, GRADIENT_BLOCK):
        n = min(GRADIENT_BLOCK, total - first)
        given = np.zeros((n, f + h), np.float32)
        gates = np.empty((steps, n, 4 * h), np.float32)
        cells = np.zeros((steps + 1, n, h), np.float32)
        squashed = np.empty((steps, n, h), np.float32)  # tanh of the cells
        for step in range(steps):
            gate, cell = gates[step], cells[step + 1]
            for b in range(n):
                for j in range(f):
                    given[b, j] = windows[first + b, step, j]
            np.dot(given, both, gate)
            add_bias_tanh(gate, bias)
            for b in range(n):
                for k in range(h):
                    kept = (HALF + HALF * gate[b, h + k]) * cells[step, b, k]
                    cell[b, k] = kept + (HALF + HALF * gate[b, k]) * gate[b, 2 * h + k]
                    squashed[step, b, k] = cell[b, k]
            add_bias_tanh(squashed[step], nothing)
            for b in range(n):
                for k in range(h):
                    given[b, f + k] = (HALF + HALF * gate[b, 3 * h + k]) * squashed[step, b, k]
        predicted = np.dot(np.ascontiguousarray(given[:, f:]), head.T)
        for b in range(n):
            for j in range(f):
                predicted[b, j] += head_bias[j] + share[j] * given[b, j]
        last = np.ascontiguousarray(windows[first : first + n, span - 1])
        slope = residual_gradient(last, predicted, weights[first : first + n], usual)
        for b in range(n):
            for j in range(f):
                out[first + b, span - 1, j] = slope[b, j]
                out[first + b, steps - 1, j] -= share[j] * slope[b, j]

        back = np.zeros((n, f + h), np.float32)  # of the row of this step, and of the state after the one before
        of_state = np.dot(-slope, head)
        for b in range(n):
            for k in range(h):
                back[b, f + k] = of_state[b, k]
        of_cell = np.zeros((n, h), np.float32)
        of_gates = np.empty((n, 4 * h), np.float32)
        for step in range(steps - 1, -1, -1):
            gate, before = gates[step], cells[step]
            for b in range(n):
                for k in range(h):
                    into, forget, new, show = gate[b, k], gate[b, h + k], gate[b, 2 * h + k], gate[b, 3 * h + k]
                    state, flat = back[b, f + k], squashed[step, b, k]
                    cell_slope = of_cell[b, k] + state * (HALF + HALF * show) * (ONE - flat * flat)
                    of_gates[b, k] = HALF * cell_slope * new * (ONE - into * into)
                    of_gates[b, h + k] = HALF * cell_slope * before[b, k] * (ONE - forget * forget)
                    of_gates[b, 2 * h + k] = cell_slope * (HALF + HALF * into) * (ONE - new * new)
                    of_gates[b, 3 * h + k] = HALF * state * flat * (ONE - show * show)
                    of_cell[b, k] = cell_slope * (HALF + HALF * forget)
            np.dot(of_gates, both.T, back)
            for b in range(n):
                for j in range(f):
                    out[first + b, step, j] += back[b, j]
    return out
