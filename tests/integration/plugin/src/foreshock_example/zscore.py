"""The largest z-score of a row: about the smallest detector that passes Foreshock's checks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock_models.detectors import Arrays, Detector, Float, Scorer, Space
from foreshock_models.explain.explanation import Explanation
from foreshock_models.panel import Panel
from foreshock_models.scaling import Scaler

__all__ = ["ZScore"]


class ZScore(Detector):
    """Sum of the features' distances from their medians, in robust standard deviations, above `tolerance`."""

    name = "zscore"
    exact_attributions = True

    def __init__(self, *, tolerance: float = 1.0, contamination: float = 0.01, random_state: int = 0) -> None:
        super().__init__(contamination=contamination, random_state=random_state)
        self.tolerance = tolerance

    @classmethod
    def search_space(cls, n_features: int) -> Space:
        return {"tolerance": Float(0.1, 3.0, 1.0)}

    def _fit_scorer(self, panel: Panel) -> ZScoreScorer:
        return ZScoreScorer(Scaler.fit(panel), self.tolerance)

    def _load_scorer(self, values: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> ZScoreScorer:
        return ZScoreScorer(Scaler.from_arrays(values["entities"], arrays, self.n_features_in_), self.tolerance)


class ZScoreScorer(Scorer):
    """Sum of robust z-scores."""

    def __init__(self, scaler: Scaler, tolerance: float) -> None:
        self.scaler = scaler
        self.tolerance = tolerance

    @property
    def context(self) -> int:
        return 0

    def score(self, panel: Panel, rows: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        return self._parts(panel, rows).sum(axis=1)

    def attribute(self, panel: Panel, rows: NDArray[np.int64]) -> Explanation:
        parts = self._parts(panel, rows)
        return Explanation(panel.features, parts, np.zeros(len(rows)), parts.sum(axis=1))

    def to_arrays(self) -> Arrays:
        entities, arrays = self.scaler.to_arrays()
        return {"entities": entities}, arrays

    def _parts(self, panel: Panel, rows: NDArray[np.int64] | None) -> NDArray[np.float64]:
        z = np.abs(np.nan_to_num(self.scaler.transform(panel)))
        return np.maximum((z if rows is None else z[rows]) - self.tolerance, 0.0)
