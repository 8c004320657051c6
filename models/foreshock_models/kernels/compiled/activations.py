"""Activation functions of the networks.

A scorer asks for a few windows at a time, over and over. An operation of torch costs some microseconds before it
computes anything, and one pass of the LSTM has a hundred of them. Training stays with torch.

``error_model="numpy"``: a check for division by zero, which cannot happen here, would prevent vectorisation.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["HALF", "ONE", "Array", "add_bias_silu", "add_bias_tanh", "tanh"]

Array = NDArray[np.float32]
HALF = np.float32(0.5)
ONE = np.float32(1.0)
SATURATED = np.float32(7.9)
"""From here on tanh is 1, to float32."""
# minimax coefficients of tanh(x) = x p(x²) / q(x²), those of Eigen's `ptanh`: error below 3e-7
P = tuple(
    np.float32(c)
    for c in (
        -2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08,
        1.48572235717979e-05, 6.37261928875436e-04, 4.89352455891786e-03,
    )
)  # fmt: skip
Q = tuple(
    np.float32(c) for c in (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)
)


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy", inline="always")
def tanh(x: np.float32) -> np.float32:
    """Hyperbolic tangent by a rational function."""
    x = min(max(x, -SATURATED), SATURATED)
    s = x * x
    p = P[0]
    for c in P[1:]:
        p = p * s + c
    q = Q[0]
    for c in Q[1:]:
        q = q * s + c
    return x * p / q


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def add_bias_tanh(rows: Array, bias: Array) -> None:
    """``tanh(rows + bias)``, in place."""
    for b in range(rows.shape[0]):
        for k in range(rows.shape[1]):
            rows[b, k] = tanh(rows[b, k] + bias[k])


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def add_bias_silu(rows: Array, bias: Array) -> Array:
    """``v * sigmoid(v)`` of ``v = rows + bias``, in place."""
    for b in range(rows.shape[0]):
        for k in range(rows.shape[1]):
            v = rows[b, k] + bias[k]
            rows[b, k] = v * (HALF + HALF * tanh(HALF * v))
    return rows
