"""Activation functions of the networks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["add_bias_silu", "add_bias_tanh", "tanh"]

Array = NDArray[np.float32]


def tanh(x: np.float32) -> np.float32:
    """See `compiled.activations.tanh`."""
    return np.float32(np.tanh(x))


def add_bias_tanh(rows: Array, bias: Array) -> None:
    """See `compiled.activations.add_bias_tanh`."""
    rows[:] = np.tanh(rows + bias)


def add_bias_silu(rows: Array, bias: Array) -> Array:
    """See `compiled.activations.add_bias_silu`."""
    v = rows + bias
    rows[:] = v / (1.0 + np.exp(-v))
    return rows
