"""The scorer: the fitted part of a detector that turns rows into raw scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock_models.detectors._results import Expectation
from foreshock_models.explain.explanation import Explanation
from foreshock_models.panel import Panel

__all__ = ["AdditiveScorer", "Arrays", "Scorer"]

Arrays = tuple[dict[str, Any], dict[str, NDArray[np.generic]]]
"""JSON values, and arrays by name: what is saved of a scorer."""


class Scorer(ABC):
    """A fitted algorithm: rows in, raw scores out.

    A scorer knows no budget, no threshold and no figure; a `Detector` composes it with those. A higher raw score is
    more anomalous. The raw score of a row looks at this row and at the `context` rows before it in the same entity,
    never at later ones. Gaps are NaN.
    """

    @property
    @abstractmethod
    def context(self) -> int:
        """Rows before a row that its raw score looks at."""

    def fit_scale(self, panel: Panel, held_back: NDArray[np.bool_]) -> None:  # noqa: B027 - most scorers need none
        """Measure what is usual on all training rows, those included that the scorer was not fitted on.

        Called once after fitting, before any raw score is asked for. A scorer whose scores need no scale keeps this
        method, which does nothing.

        Parameters
        ----------
        held_back
            ``(n_rows,)``: rows that the scorer was not fitted on.
        """

    @abstractmethod
    def score(self, panel: Panel, rows: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """Return the raw scores of `rows` ``(n,)``, finite; a row without any value gets the lowest.

        Parameters
        ----------
        rows
            Numbers of rows, increasing; None: all. Live scoring asks for the last row of each entity, at each step.
        """

    @abstractmethod
    def attribute(self, panel: Panel, rows: NDArray[np.int64]) -> Explanation:
        """Return the attributions of the raw scores of `rows` ``(n,)``, increasing."""

    def expect(self, panel: Panel) -> Expectation | None:
        """Return the expected value of each feature, or None if the algorithm does not predict values."""
        return None

    @abstractmethod
    def to_arrays(self) -> Arrays:
        """Return what was learnt. With the parameters of the detector, it is enough to restore the scorer."""


class AdditiveScorer(Scorer):
    """A scorer whose raw score is a sum of one contribution per feature, which therefore explain it exactly."""

    @abstractmethod
    def _contributions(self, panel: Panel, rows: NDArray[np.int64] | None) -> NDArray[np.float64]:
        """Return the contribution of each feature to the raw scores of `rows` ``(n, n_features)``; None: of all."""

    def score(self, panel: Panel, rows: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        scores: NDArray[np.float64] = self._contributions(panel, rows).sum(axis=1)
        return scores

    def attribute(self, panel: Panel, rows: NDArray[np.int64]) -> Explanation:
        parts = self._contributions(panel, rows)
        return Explanation(panel.features, parts, np.zeros(len(rows)), parts.sum(axis=1))
