"""The networks' gradients in machine code, back to the rows that they were given.

What is differentiated is the raw score: of each feature of the last row of a window, by how much its residual
exceeds its usual size. Training has its gradients from torch.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from foreshock_models.detectors._forward import HALF, squash, tanh

__all__ = ["lstm_slopes", "vae_slopes"]

Array = NDArray[np.float32]
BLOCK = 64
"""Windows that go forward and back together: what they leave for the way back stays in the cache."""
ONE = np.float32(1.0)


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _slope_at(last: Array, predicted: Array, weights: Array, usual: Array, excess: float) -> Array:
    """Gradient ``(n, F)`` with regard to the last row; with regard to what was predicted, it is the opposite."""
    out = np.empty_like(last)
    for b in range(last.shape[0]):
        for j in range(last.shape[1]):
            residual = last[b, j] - predicted[b, j]
            part = abs(residual) / usual[j] - ONE
            inside = part >= 0.0 and part <= excess
            out[b, j] = np.sign(residual) * weights[b, j] / usual[j] if inside else np.float32(0.0)
    return out


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def lstm_slopes(
    windows: Array, weights: Array, usual: Array, excess: float, steps: int, packed: tuple[Array, ...]
) -> Array:
    """Gradient ``(B, span, F)`` of ``(weights * parts).sum()``.

    Parameters
    ----------
    windows
        ``(B, span, F)``; the network sees the first `steps` rows, and predicts the last.
    weights
        ``(B, F)`` of the parts: each feature's residual in units of `usual` ``(F,)``, less 1, between 0 and
        `excess`.
    packed
        The network, as `lstm_forward` takes it.
    """
    both, bias, head, head_bias, share = packed
    total, span, f = windows.shape
    h = head.shape[1]
    out = np.zeros_like(windows)
    nothing = np.zeros(h, np.float32)
    for first in range(0, total, BLOCK):
        n = min(BLOCK, total - first)
        given = np.zeros((n, f + h), np.float32)
        gates = np.empty((steps, n, 4 * h), np.float32)
        cells = np.zeros((steps + 1, n, h), np.float32)
        bent = np.empty((steps, n, h), np.float32)  # tanh of the cells
        for step in range(steps):
            gate, cell = gates[step], cells[step + 1]
            for b in range(n):
                given[b, :f] = windows[first + b, step]
            np.dot(given, both, gate)
            squash(gate, bias)
            for b in range(n):
                for k in range(h):
                    kept = (HALF + HALF * gate[b, h + k]) * cells[step, b, k]
                    cell[b, k] = kept + (HALF + HALF * gate[b, k]) * gate[b, 2 * h + k]
                    bent[step, b, k] = cell[b, k]
            squash(bent[step], nothing)
            for b in range(n):
                for k in range(h):
                    given[b, f + k] = (HALF + HALF * gate[b, 3 * h + k]) * bent[step, b, k]
        predicted = np.dot(np.ascontiguousarray(given[:, f:]), head.T)
        for b in range(n):
            for j in range(f):
                predicted[b, j] += head_bias[j] + share[j] * given[b, j]
        last = np.ascontiguousarray(windows[first : first + n, span - 1])
        slope = _slope_at(last, predicted, weights[first : first + n], usual, excess)
        for b in range(n):
            for j in range(f):
                out[first + b, span - 1, j] = slope[b, j]
                out[first + b, steps - 1, j] -= share[j] * slope[b, j]

        back = np.zeros((n, f + h), np.float32)  # of the row of this step, and of the state after the one before
        back[:, f:] = np.dot(-slope, head)
        of_cell = np.zeros((n, h), np.float32)
        of_gates = np.empty((n, 4 * h), np.float32)
        for step in range(steps - 1, -1, -1):
            gate, before = gates[step], cells[step]
            for b in range(n):
                for k in range(h):
                    into, forget, new, show = gate[b, k], gate[b, h + k], gate[b, 2 * h + k], gate[b, 3 * h + k]
                    state, flat = back[b, f + k], bent[step, b, k]
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


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _silu_and_slope(rows: Array, bias: Array) -> Array:
    """``v * sigmoid(v)`` of ``v = rows + bias``, in place; gives its slope."""
    slope = np.empty_like(rows)
    for b in range(rows.shape[0]):
        for k in range(rows.shape[1]):
            v = rows[b, k] + bias[k]
            share = HALF + HALF * tanh(HALF * v)
            rows[b, k] = v * share
            slope[b, k] = share + rows[b, k] * (ONE - share)
    return slope


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def vae_slopes(
    windows: Array,
    weights: Array,
    usual: Array,
    excess: float,
    layers: tuple[Array, ...],
    biases: tuple[Array, ...],
) -> Array:
    """Gradient ``(B, span, F)`` of ``(weights * parts).sum()``.

    Parameters
    ----------
    windows, weights, usual, excess
        As in `lstm_slopes`; the network rebuilds the whole window.
    layers, biases
        The network, as `vae_forward` takes it.
    """
    total, span, f = windows.shape
    out = np.empty_like(windows)
    for first in range(0, total, BLOCK):
        n = min(BLOCK, total - first)
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
        slope = _slope_at(last, predicted, weights[first : first + n], usual, excess)

        back = np.dot(-slope, layers[4]) * third_slope
        back = np.dot(np.dot(back, layers[3]), layers[2]) * second_slope
        back = np.dot(back, layers[1]) * first_slope
        out[first : first + n] = np.dot(back, layers[0]).reshape(n, span, f)
        out[first : first + n, span - 1] += slope
    return out
