"""Inputs of a network, and the raw score made from what it predicts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foreshock_models.kernels.constants import INPUT_LIMIT, MAX_EXCESS
from foreshock_models.kernels.reference.windows import forward_fill, trailing_mean, trailing_rows

__all__ = ["network_inputs", "prepare", "residual_gradient", "smoothed_excess"]

Array = NDArray[np.float32]


def network_inputs(
    values: NDArray[np.float64],
    offsets: NDArray[np.int64],
    entities: NDArray[np.int64],
    center: NDArray[np.float64],
    spread: NDArray[np.float64],
    limit: int,
) -> tuple[Array, Array]:
    """See `compiled.residuals.network_inputs`."""
    rows = np.repeat(entities, np.diff(offsets))
    z = np.clip((values - center[rows]) / spread[rows], -INPUT_LIMIT, INPUT_LIMIT)
    return forward_fill(z, offsets, limit).astype(np.float32), (~np.isnan(values)).astype(np.float32)


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
    """See `compiled.residuals.prepare`."""
    x, present = network_inputs(values, offsets, entities, center, spread, span)
    return x, present, *trailing_rows(offsets, rows, smoothing)


def smoothed_excess(
    x: Array,
    present: Array,
    needed: NDArray[np.int64],
    predicted: Array,
    usual: NDArray[np.float64],
    places: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> NDArray[np.float64]:
    """See `compiled.residuals.smoothed_excess`."""
    residual = np.abs(x[needed].astype(np.float64) - predicted)
    parts = np.clip(residual / usual - 1.0, 0.0, MAX_EXCESS) * present[needed]
    return trailing_mean(parts.mean(axis=1, keepdims=True), places, counts).ravel()


def residual_gradient(last: Array, predicted: Array, weights: Array, usual: Array) -> Array:
    """See `compiled.residuals.residual_gradient`."""
    residual = last - predicted
    part = np.abs(residual) / usual - 1.0
    inside = (part >= 0.0) & (part <= MAX_EXCESS)
    return np.where(inside, np.sign(residual) * weights / usual, 0.0).astype(np.float32)
