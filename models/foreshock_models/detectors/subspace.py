"""Principal subspace of sub-sequences: for series whose shape matters more than their values.

A sliding-window principal component analysis, as Sub-PCA in Liu and Paparrizos, "The elephant in the room:
towards a reliable time-series anomaly detection benchmark", NeurIPS 2024.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock_models.detectors._base import Detector
from foreshock_models.detectors._space import Float, Int, Space
from foreshock_models.detectors._windows import Stacked, carried, fitting, whole_windows
from foreshock_models.explain.explanation import Explanation
from foreshock_models.panel import Panel
from foreshock_models.scaling import Scaler

__all__ = ["Subspace"]

SEVERAL, SINGLE = 64, 224
"""Default `window`, for several features and for one; of one, as far as training has so many rows (`fitting`)."""
MAX_WINDOWS = 20_000
BATCH = 4096
MAX_LENGTH, MAX_DIMENSIONS = 320, 1_000
"""A search tries no longer windows, and none of more dimensions: inverting them takes time in their cube."""


class Subspace(Detector):
    """How far the window that ends at a row lies from the usual ones, in every direction by its own measure.

    The windows of all features are laid side by side; their covariance is taken over the training windows; the
    raw score is the squared Mahalanobis distance per dimension. A quadratic form, its Shapley values against
    the mean window are known in closed form and add up exactly.

    Parameters
    ----------
    window
        Rows of a sub-sequence; default 64, or for a single feature 224, but a quarter of the training rows at most.
    ridge
        Variance added to every direction, as a share of the mean variance: directions that training never
        used count, but not without bound.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.sin(np.arange(900) / 5)[:, None]
    >>> x[700:730] *= -1
    >>> scores = Subspace(window=16).fit(x[:500]).decision_function(x)
    >>> bool(scores[700:740].max() > scores[:690].max())
    True
    """

    name = "subspace"

    def __init__(
        self, *, window: int | None = None, ridge: float = 0.1, contamination: float = 0.01, random_state: int = 0
    ) -> None:
        super().__init__(contamination=contamination, random_state=random_state)
        self.window = window
        self.ridge = ridge

    @classmethod
    def search_space(cls, n_features: int) -> Space:
        usual = SINGLE if n_features == 1 else SEVERAL
        longest = max(SEVERAL, min(MAX_LENGTH, MAX_DIMENSIONS // n_features))
        return {"window": Int(8, longest, usual, log=True), "ridge": Float(1e-3, 1.0, 0.1, log=True)}

    @property
    def context(self) -> int:
        return 2 * self.window_ - 2

    def _fit(self, panel: Panel) -> None:
        self.scaler_ = Scaler.fit(panel)
        self.window_ = self.window or (fitting(panel, SINGLE) if panel.n_features == 1 else SEVERAL)
        chosen = whole_windows(panel, self.window_, MAX_WINDOWS, self.random_state)
        rows = self._windows(panel).flat(chosen).astype(np.float64)  # (n, F * window)
        self.mean_ = rows.mean(axis=0)
        covariance = np.atleast_2d(np.cov(rows - self.mean_, rowvar=False))
        ridge = self.ridge * max(float(np.trace(covariance)) / len(covariance), 1e-6)
        self.precision_ = np.linalg.inv(covariance + ridge * np.eye(len(covariance)))

    def _windows(self, panel: Panel) -> Stacked:
        filled = carried(self.scaler_.transform(panel), panel, self.window_)
        return Stacked(filled.astype(np.float32), panel, self.window_)

    def _parts(self, panel: Panel, rows: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """What each feature adds to the raw score of `rows` (None: all) ``(n, F)``."""
        windows = self._windows(panel)
        rows = np.arange(panel.n_rows) if rows is None else rows
        parts = np.empty((len(rows), panel.n_features))
        for i in range(0, len(rows), BATCH):
            away = windows.flat(rows[i : i + BATCH]) - self.mean_
            products = away * (away @ self.precision_)  # (n, F * window)
            shaped = products.reshape(len(away), panel.n_features, self.window_)
            parts[i : i + BATCH] = shaped.sum(axis=2) / away.shape[1]
        return parts

    def _decision(self, panel: Panel) -> NDArray[np.float64]:
        return self._parts(panel).sum(axis=1)

    def _decision_at(self, panel: Panel, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return self._parts(panel, rows).sum(axis=1)

    def _explain(self, panel: Panel, rows: NDArray[np.int64]) -> Explanation:
        parts = self._parts(panel, rows)
        return Explanation(panel.features, parts, np.zeros(len(rows)), parts.sum(axis=1))

    def _to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[np.generic]]]:
        entities, arrays = self.scaler_.to_arrays()
        return {"entities": entities, "window": self.window_}, {
            **arrays,
            "mean": self.mean_,
            "precision": self.precision_,
        }

    def _from_arrays(self, values: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        self.scaler_ = Scaler.from_arrays(values["entities"], arrays)
        self.window_ = values["window"]
        self.mean_, self.precision_ = arrays["mean"], arrays["precision"]
