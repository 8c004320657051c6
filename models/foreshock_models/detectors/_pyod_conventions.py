"""PyOD's conventions: names and methods by which its tools use a detector."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["PyODConventions"]


class PyODConventions(ABC):
    """Methods that PyOD expects of a detector beside `fit`, all from raw scores.

    Attributes
    ----------
    decision_scores_
        ``(n_rows,)``: raw scores of the training rows.
    threshold_
        Raw score above which `predict` returns 1: the ``1 - contamination`` quantile of `decision_scores_`.
    labels_
        ``(n_rows,)``: 0 or 1 for the training rows.
    """

    contamination: float
    decision_scores_: NDArray[np.float64]
    threshold_: float
    labels_: NDArray[np.int64]
    score_range_: tuple[float, float]
    """Lowest and highest raw score of the training rows."""

    @abstractmethod
    def decision_function(self, X: Any, *, entities: ArrayLike | None = None) -> NDArray[np.float64]:
        """Return the raw score of each row ``(n_rows,)``; higher is more anomalous."""

    def predict(self, X: Any, *, entities: ArrayLike | None = None) -> NDArray[np.int64]:
        """Return 1 for an outlier and 0 for an inlier ``(n_rows,)``."""
        return (self.decision_function(X, entities=entities) > self.threshold_).astype(np.int64)

    def predict_proba(self, X: Any, *, entities: ArrayLike | None = None) -> NDArray[np.float64]:
        """Return the probability of being normal and of being an outlier ``(n_rows, 2)``, scaled as in PyOD."""
        low, high = self.score_range_
        share = (self.decision_function(X, entities=entities) - low) / max(high - low, 1e-12)
        outlier = np.clip(share, 0.0, 1.0)
        return np.column_stack([1 - outlier, outlier])

    def _set_decision_scores(self, raw: NDArray[np.float64]) -> None:
        """Set the attributes from the raw scores of the training rows."""
        self.decision_scores_ = raw
        self.threshold_ = float(np.quantile(raw, 1 - self.contamination))
        self.labels_ = (raw > self.threshold_).astype(np.int64)
        self.score_range_ = (float(raw.min()), float(raw.max()))
