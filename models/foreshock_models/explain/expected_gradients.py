"""Expected gradients: SHAP values of a differentiable score [1]_.

.. [1] Erion et al., "Improving performance of deep learning models with axiomatic attribution priors and
   expected gradients", Nature Machine Intelligence 2021.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from foreshock_models.kernels.compiled.expected_gradients import integrate, interpolate

__all__ = ["ExpectedGradients"]

POINTS = 48
"""Points on the paths from background windows to an input, for each score that is explained."""
MIN_POINTS = 4
"""Points for one window, at least."""
BATCH = 512
"""Windows that are processed at a time."""

Array = NDArray[np.float32]
Parts = Callable[[Array], Array]
Gradient = Callable[[Array, Array], Array]


class ExpectedGradients:
    """Attributions per feature of a score that is a mean over windows and features.

    A score is the mean over its last windows of the mean over the features of `parts`. By linearity each window is
    explained on its own, so the points are divided among them: each window follows paths from background windows
    drawn for it. What does not depend on the explained rows is computed once.

    Parameters
    ----------
    parts
        ``(n, span, n_features)`` windows -> ``(n, n_features)``: contribution of each feature of the last row.
    gradient
        ``(n, span, n_features)`` windows and ``(n, n_features)`` weights -> ``(n, span, n_features)``: gradient of
        the weighted sum of the parts.
    background
        ``(n_background, span + k - 1, n_features)``: usual inputs of scores that are means over `k` windows.
    span
        Rows of a window.
    seed
        Of the draw of paths and points.
    """

    def __init__(self, parts: Parts, gradient: Gradient, background: Array, span: int, seed: int) -> None:
        self.parts = parts
        self.gradient = gradient
        self.span = span
        self.seed = seed
        # (n_background, k, span, n_features)
        self.background = sliding_window_view(background, span, axis=1).swapaxes(2, 3)
        self.paths: dict[int, _Paths] = {}

    def explain(
        self, inputs: Array, present: Array, used: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Explain `n` scores.

        Parameters
        ----------
        inputs, present
            ``(n, span + k - 1, n_features)``: rows of the `k` windows to explain, and 1 where a sample is present.
        used
            ``(n,)``: how many of the `k` windows count, the last ones.

        Returns
        -------
        attributions ``(n, n_features)``, base ``(n,)``: mean score of the background.
        """
        attributions = np.empty((len(inputs), inputs.shape[2]))
        base = np.empty(len(inputs))
        for count in np.unique(used).tolist():
            if count not in self.paths:
                self.paths[count] = self._draw_paths(count)
            paths = self.paths[count]
            rows = np.flatnonzero(used == count)
            size = max(1, BATCH // paths.alphas.size)
            for some in np.array_split(rows, -(-len(rows) // size)):
                mask = present[some, -count:]  # (n, count, n_features): the last row of each window
                base[some] = (paths.mean_parts * mask).mean(axis=(1, 2))
                rows_of_windows = inputs[some, -(self.span + count - 1) :]
                windows, weights = interpolate(rows_of_windows, mask, paths.starts, paths.alphas)
                attributions[some] = integrate(rows_of_windows, paths.starts, self.gradient(windows, weights))
        return attributions, base

    def _draw_paths(self, count: int) -> _Paths:
        k = self.background.shape[1]
        each = max(MIN_POINTS, POINTS // count)
        generator = np.random.default_rng(self.seed)
        chosen = np.stack([generator.permutation(len(self.background))[:each] for _ in range(k)])[k - count :]
        alphas = _draw_alphas(count, chosen.shape[1], max(1, each // len(self.background)), generator)
        # (count, n_paths, span, n_features)
        starts = np.ascontiguousarray(self.background[chosen, np.arange(k - count, k)[:, None]])
        parts = self.parts(starts.reshape(-1, *starts.shape[2:])).reshape(*chosen.shape, -1)
        return _Paths(starts, alphas, parts.mean(axis=1))


@dataclass(frozen=True)
class _Paths:
    """Paths to a score of `count` windows.

    Parameters
    ----------
    starts
        ``(count, n_paths, span, n_features)``: background windows that the paths begin at.
    alphas
        ``(count, n_paths, n_points)``: points on the paths.
    mean_parts
        ``(count, n_features)``: mean contribution of each feature at the starts.
    """

    starts: Array
    alphas: Array
    mean_parts: Array


def _draw_alphas(windows: int, n_paths: int, n_points: int, generator: np.random.Generator) -> Array:
    """Positions of the points ``(windows, n_paths, n_points)``: one in each of ``n_paths * n_points`` strata."""
    n = n_paths * n_points
    strata = generator.permuted(np.tile(np.arange(n), (windows, 1)), axis=1)
    fractions = ((strata + generator.random((windows, n))) / n).reshape(windows, n_paths, n_points)
    return fractions.astype(np.float32)
