"""Expected gradients: SHAP values of a differentiable score [1]_.

.. [1] Erion et al., "Improving performance of deep learning models with axiomatic attribution priors and
   expected gradients", Nature Machine Intelligence 2021.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = ["ExpectedGradients"]

POINTS = 48
"""Points on the ways from background windows to an input, for each score that is explained."""
LEAST = 4
"""Points for one window at least."""
BATCH = 512
"""Windows that are laid out at a time."""

Array = NDArray[np.float32]
Parts = Callable[[Array], Array]
Slopes = Callable[[Array, Array], Array]


class ExpectedGradients:
    """Attributions per feature of a score that is a mean over windows and features.

    A score is the mean over its last windows of the mean over the features of `parts`. By linearity each window is
    explained on its own; so the points are shared out among them: each window goes all the way from some background
    windows of its own choice. What does not depend on the rows that are explained is made once.

    Parameters
    ----------
    parts
        ``(B, span, F)`` windows -> ``(B, F)``: what each feature of the last row adds.
    slopes
        ``(B, span, F)`` windows and ``(B, F)`` weights -> ``(B, span, F)``: the gradient of the weighted sum of the
        parts.
    background
        ``(b, span + k - 1, F)``: usual inputs of scores that are means over `k` windows.
    """

    def __init__(self, parts: Parts, slopes: Slopes, background: Array, span: int, seed: int) -> None:
        self.parts = parts
        self.slopes = slopes
        self.span = span
        self.seed = seed
        self.usual = sliding_window_view(background, span, axis=1).swapaxes(2, 3)  # (b, k, span, F)
        self.ways: dict[int, _Ways] = {}

    def explain(
        self, inputs: Array, known: Array, used: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Explain `n` scores.

        Parameters
        ----------
        inputs, known
            ``(n, span + k - 1, F)``: rows of the `k` windows to explain, and which of their samples are known.
        used
            ``(n,)``: how many of the `k` windows count, the last ones.

        Returns
        -------
        attributions ``(n, F)``, base ``(n,)``: the mean score of the background.
        """
        attributions = np.empty((len(inputs), inputs.shape[2]))
        base = np.empty(len(inputs))
        for count in np.unique(used).tolist():
            if count not in self.ways:
                self.ways[count] = self._ways(count)
            ways = self.ways[count]
            rows = np.flatnonzero(used == count)
            size = max(1, BATCH // ways.alphas.size)
            for some in np.array_split(rows, -(-len(rows) // size)):
                mask = known[some, -count:]  # (n, count, F): the last row of each window
                base[some] = (ways.rest * mask).mean(axis=(1, 2))
                rows_of_windows = inputs[some, -(self.span + count - 1) :]
                windows, weights = _points(rows_of_windows, mask, ways.starts, ways.alphas)
                attributions[some] = _along(rows_of_windows, ways.starts, self.slopes(windows, weights))
        return attributions, base

    def _ways(self, count: int) -> _Ways:
        k = self.usual.shape[1]
        each = max(LEAST, POINTS // count)
        generator = np.random.default_rng(self.seed)
        chosen = np.stack([generator.permutation(len(self.usual))[:each] for _ in range(k)])[k - count :]
        alphas = _alphas(count, chosen.shape[1], max(1, each // len(self.usual)), generator)
        starts = np.ascontiguousarray(self.usual[chosen, np.arange(k - count, k)[:, None]])  # (count, b, span, F)
        rest = self.parts(starts.reshape(-1, *starts.shape[2:])).reshape(*chosen.shape, -1).mean(axis=1)
        return _Ways(starts, alphas, rest)


@dataclass(frozen=True)
class _Ways:
    """Where the ways to a score of ``count`` windows begin, and which points of them are looked at.

    ``starts`` ``(count, b, span, F)``; ``alphas`` as `_alphas` gives them; ``rest`` ``(count, F)``: what each
    feature adds at the starts, on average.
    """

    starts: Array
    alphas: Array
    rest: Array


def _alphas(windows: int, background: int, steps: int, generator: np.random.Generator) -> Array:
    """How far along each way the points lie ``(windows, b, steps)``: one in each of ``b * steps`` strata."""
    n = background * steps
    strata = generator.permuted(np.tile(np.arange(n), (windows, 1)), axis=1)
    fractions = ((strata + generator.random((windows, n))) / n).reshape(windows, background, steps)
    return fractions.astype(np.float32)


@njit(cache=True, nogil=True)
def _points(rows: Array, mask: Array, starts: Array, alphas: Array) -> tuple[Array, Array]:
    """The windows at all points ``(n * count * b * steps, span, F)``, and the weights of their parts ``(.., F)``.

    Parameters
    ----------
    rows, mask
        ``(n, span + count - 1, F)`` rows of the windows to explain; ``(n, count, F)`` which parts count.
    """
    count, b, span, f = starts.shape
    steps = alphas.shape[2]
    windows = np.empty((len(rows) * count * b * steps, span, f), np.float32)
    weights = np.empty((len(windows), f), np.float32)
    at = 0
    for n in range(len(rows)):
        for c in range(count):
            for i in range(b):
                for k in range(steps):
                    alpha = alphas[c, i, k]
                    for s in range(span):
                        for j in range(f):
                            start = starts[c, i, s, j]
                            windows[at, s, j] = start + alpha * (rows[n, c + s, j] - start)
                    for j in range(f):
                        weights[at, j] = mask[n, c, j] / f
                    at += 1
    return windows, weights


@njit(cache=True, nogil=True)
def _along(rows: Array, starts: Array, slopes: Array) -> NDArray[np.float64]:
    """What lies between the starts and the explained windows, times the `slopes` on the way: ``(n, F)``."""
    count, b, span, f = starts.shape
    each = len(slopes) // len(rows)
    steps = each // (count * b)
    out = np.zeros((len(rows), f))
    at = 0
    for n in range(len(rows)):
        for c in range(count):
            for i in range(b):
                for _ in range(steps):
                    for s in range(span):
                        for j in range(f):
                            out[n, j] += (rows[n, c + s, j] - starts[c, i, s, j]) * slopes[at, s, j]
                    at += 1
    return out / each
