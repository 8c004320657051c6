"""Attributions: how much each feature drove a score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Explanation"]


@dataclass(frozen=True)
class Explanation:
    """SHAP attributions of raw scores.

    Attributes
    ----------
    features
        Names, one per column.
    attributions
        ``(n_rows, n_features)``: how much each feature raised (> 0) or lowered (< 0) the raw score.
    base
        ``(n_rows,)``: the raw score where nothing is known; ``base + attributions.sum(1)`` is the raw score
        up to `additivity_error`.
    raw
        ``(n_rows,)`` raw scores.
    """

    features: tuple[str, ...]
    attributions: NDArray[np.float64]
    base: NDArray[np.float64]
    raw: NDArray[np.float64]

    @property
    def additivity_error(self) -> NDArray[np.float64]:
        """``(n_rows,)``: absolute difference between the raw score and base plus attributions."""
        error: NDArray[np.float64] = np.abs(self.base + self.attributions.sum(axis=1) - self.raw)
        return error

    def top(self, row: int, k: int | None = None) -> list[tuple[str, float]]:
        """The features that raised the score of `row`, the largest first."""
        values = self.attributions[row]
        order = np.argsort(-values, kind="stable")[:k]
        return [(self.features[i], float(values[i])) for i in order if values[i] > 0]
