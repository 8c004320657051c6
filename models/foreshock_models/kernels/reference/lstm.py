"""The LSTM, as torch defines it; gradients by finite differences."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foreshock_models.kernels.reference.differences import excess_gradient, gather_windows
from foreshock_models.kernels.reference.residuals import prepare, smoothed_excess

__all__ = ["gradients", "predict", "raw_scores"]

Array = NDArray[np.float32]
Inputs = tuple[
    NDArray[np.float64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64],
    NDArray[np.int64], int, int,
]  # fmt: skip


def raw_scores(
    inputs: Inputs, usual: NDArray[np.float64], steps: int, weights: tuple[Array, ...]
) -> NDArray[np.float64]:
    """See `compiled.lstm.raw_scores`."""
    x, present, needed, starts, places, counts = prepare(*inputs)
    predicted = predict(x, starts, needed, inputs[-1], steps, weights)
    return smoothed_excess(x, present, needed, predicted, usual, places, counts)


def predict(
    x: Array,
    starts: NDArray[np.int64],
    rows: NDArray[np.int64],
    span: int,
    steps: int,
    weights: tuple[Array, ...],
) -> Array:
    """See `compiled.lstm.predict`."""
    return _last_row(gather_windows(x, starts, rows, span), steps, weights).astype(np.float32)


def gradients(windows: Array, weights: Array, usual: Array, steps: int, packed: tuple[Array, ...]) -> Array:
    """See `compiled.lstm.gradients`."""
    return excess_gradient(lambda w: _last_row(w, steps, packed), windows, weights, usual)


def _last_row(windows: NDArray[np.floating], steps: int, packed: tuple[Array, ...]) -> NDArray[np.float64]:
    """Prediction for the last row of each window: ``(n, span, n_features)`` -> ``(n, n_features)``."""
    both, bias, head, head_bias, share = (part.astype(np.float64) for part in packed)
    h = head.shape[1]
    state = cell = np.zeros((len(windows), h))
    for step in range(steps):
        gates = np.hstack([windows[:, step], state]) @ both + bias
        # the input, forget and output gates are packed at half their size: sigmoid(2 v) = (1 + tanh(v)) / 2
        into, forget, show = (0.5 + 0.5 * np.tanh(gates[:, i * h : (i + 1) * h]) for i in (0, 1, 3))
        cell = forget * cell + into * np.tanh(gates[:, 2 * h : 3 * h])
        state = show * np.tanh(cell)
    return state @ head.T + head_bias + share * windows[:, steps - 1]
