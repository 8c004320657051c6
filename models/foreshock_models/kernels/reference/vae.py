"""The variational autoencoder, as torch defines it; gradients by finite differences."""

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
    inputs: Inputs, usual: NDArray[np.float64], weights: tuple[Array, ...], biases: tuple[Array, ...]
) -> NDArray[np.float64]:
    """See `compiled.vae.raw_scores`."""
    x, present, needed, starts, places, counts = prepare(*inputs)
    predicted = predict(x, starts, needed, inputs[-1], weights, biases)
    return smoothed_excess(x, present, needed, predicted, usual, places, counts)


def predict(
    x: Array,
    starts: NDArray[np.int64],
    rows: NDArray[np.int64],
    span: int,
    weights: tuple[Array, ...],
    biases: tuple[Array, ...],
) -> Array:
    """See `compiled.vae.predict`."""
    return _last_row(gather_windows(x, starts, rows, span), weights, biases).astype(np.float32)


def gradients(
    windows: Array, weights: Array, usual: Array, layers: tuple[Array, ...], biases: tuple[Array, ...]
) -> Array:
    """See `compiled.vae.gradients`."""
    return excess_gradient(lambda w: _last_row(w, layers, biases), windows, weights, usual)


def _last_row(
    windows: NDArray[np.floating], layers: tuple[Array, ...], biases: tuple[Array, ...]
) -> NDArray[np.float64]:
    """Reconstruction of the last row of each window: ``(n, span, n_features)`` -> ``(n, n_features)``."""
    code = windows.reshape(len(windows), -1).astype(np.float64)
    for number, (layer, bias) in enumerate(zip(layers, biases, strict=True)):
        code = code @ layer.T.astype(np.float64) + bias
        if number in (0, 1, 3):  # not after the latent mean, nor after the last layer
            code = code / (1.0 + np.exp(-code))
    return code
