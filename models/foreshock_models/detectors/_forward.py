"""The networks' forward passes in machine code: a scorer asks for a few windows at a time, over and over.

An operation of torch costs some microseconds before it computes anything, and a pass of the LSTM has a hundred of
them. Training stays with torch.

``error_model="numpy"``: a check for division by zero, which cannot happen here, would keep the loops off the vector
unit.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["BLOCK", "lstm_forward", "silu", "squash", "tanh", "vae_forward"]

Array = NDArray[np.float32]
BLOCK = 128
"""Windows that go through the network together: their state stays in the cache."""
HALF = np.float32(0.5)
FLAT = np.float32(7.9)
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
    x = min(max(x, -FLAT), FLAT)
    s = x * x
    p = P[0]
    for c in P[1:]:
        p = p * s + c
    q = Q[0]
    for c in Q[1:]:
        q = q * s + c
    return x * p / q


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def squash(rows: Array, bias: Array) -> None:
    """``tanh(rows + bias)``, in place."""
    for b in range(rows.shape[0]):
        for k in range(rows.shape[1]):
            rows[b, k] = tanh(rows[b, k] + bias[k])


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def silu(rows: Array, bias: Array) -> Array:
    """``v * sigmoid(v)`` of ``v = rows + bias``, in place."""
    for b in range(rows.shape[0]):
        for k in range(rows.shape[1]):
            v = rows[b, k] + bias[k]
            rows[b, k] = v * (HALF + HALF * tanh(HALF * v))
    return rows


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def lstm_forward(
    x: Array,
    starts: NDArray[np.int64],
    rows: NDArray[np.int64],
    span: int,
    steps: int,
    weights: tuple[Array, ...],
) -> Array:
    """What an LSTM predicts from the first `steps` of the `span` rows that end at each of `rows`: ``(n, F)``.

    Parameters
    ----------
    x
        ``(n_rows, F)``: inputs, gaps filled.
    starts
        ``(n,)``: where the entity of each of `rows` begins; before it, its first row is repeated.
    weights
        Of inputs and state together ``(F + H, 4H)`` and their bias ``(4H,)``, in torch's order of the gates
        (input, forget, cell, output), halved but for the cell; of the head ``(F, H)`` and ``(F,)``; how much of
        the last row is kept ``(F,)``.
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
                given[b, :f] = x[max(rows[first + b] - span + 1 + step, starts[first + b])]
            np.dot(given, both, gates)
            squash(gates, bias)
            for b in range(n):
                for k in range(h):
                    kept = (HALF + HALF * gates[b, h + k]) * cell[b, k]
                    cell[b, k] = kept + (HALF + HALF * gates[b, k]) * gates[b, 2 * h + k]
                    state[b, k] = cell[b, k]
            squash(state, nothing)
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
def vae_forward(
    x: Array,
    starts: NDArray[np.int64],
    rows: NDArray[np.int64],
    span: int,
    weights: tuple[Array, ...],
    biases: tuple[Array, ...],
) -> Array:
    """The last row of the window of `span` rows that ends at each of `rows`, as a VAE rebuilds it: ``(n, F)``.

    Parameters
    ----------
    x, starts
        As in `lstm_forward`.
    weights, biases
        Of the two layers of the encoder, of the latent mean, of the two layers of the decoder; of the last one,
        what makes the last row ``(F, H)``.
    """
    f = x.shape[1]
    out = np.empty((len(rows), f), np.float32)
    for first in range(0, len(rows), BLOCK):
        n = min(BLOCK, len(rows) - first)
        windows = np.empty((n, span * f), np.float32)
        for b in range(n):
            for step in range(span):
                row = max(rows[first + b] - span + 1 + step, starts[first + b])
                windows[b, step * f : (step + 1) * f] = x[row]
        code = silu(np.dot(windows, weights[0].T), biases[0])
        code = silu(np.dot(code, weights[1].T), biases[1])
        latent = np.dot(code, weights[2].T) + biases[2]
        rebuilt = np.dot(silu(np.dot(latent, weights[3].T), biases[3]), weights[4].T)
        out[first : first + n] = rebuilt + biases[4]
    return out
