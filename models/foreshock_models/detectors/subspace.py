"""Principal subspace of sub-sequences: for series whose shape matters more than their values [1]_.

.. [1] A sliding-window principal component analysis, as Sub-PCA in Liu and Paparrizos, "The elephant in the room:
   towards a reliable time-series anomaly detection benchmark", NeurIPS 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from foreshock_models.detectors._detector import Detector
from foreshock_models.detectors._scorer import AdditiveScorer, Arrays
from foreshock_models.detectors._search_space import Float, Int, Space
from foreshock_models.detectors._windows import filled_windows, fitting_length, sample_whole_windows
from foreshock_models.panel import Panel
from foreshock_models.saved_arrays import saved_array
from foreshock_models.scaling import Scaler

__all__ = ["Subspace", "SubspaceScorer"]

WINDOW, WINDOW_OF_ONE = 64, 224
"""Default `window`, for several features and for one; for one, as far as training has so many rows."""
MAX_WINDOWS = 20_000
BATCH = 4096
MAX_LENGTH, MAX_DIMENSIONS = 320, 1_000
"""A search tries no longer windows, and none of more dimensions: inverting them takes time in their cube."""


class Subspace(Detector):
    """Distance of the window that ends at a row from the usual windows, in units of their spread in that direction.

    The windows of all features are concatenated, and their covariance is taken over the training windows. The
    raw score is the squared Mahalanobis distance per dimension. It is a quadratic form, so its Shapley values
    against the mean window are known in closed form and add up exactly.

    Parameters
    ----------
    window
        Rows of a sub-sequence; default: 64, or 224 for a single feature, but a quarter of the training rows at
        most.
    ridge
        Variance added to every direction, as a share of the mean variance: directions that training never used
        count, but not without bound.
    contamination
        Share of the training rows that `predict` calls outliers.
    random_state
        Seed; the same seed gives the same model.

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
    exact_attributions = True

    def __init__(
        self, *, window: int | None = None, ridge: float = 0.1, contamination: float = 0.01, random_state: int = 0
    ) -> None:
        super().__init__(contamination=contamination, random_state=random_state)
        self.window = window
        self.ridge = ridge

    @classmethod
    def check_cases(cls) -> Sequence[Self]:
        return (cls(window=16),)

    @classmethod
    def search_space(cls, n_features: int) -> Space:
        default = WINDOW_OF_ONE if n_features == 1 else WINDOW
        longest = max(WINDOW, min(MAX_LENGTH, MAX_DIMENSIONS // n_features))
        return {"window": Int(8, longest, default, log=True), "ridge": Float(1e-3, 1.0, 0.1, log=True)}

    def _fit_scorer(self, panel: Panel) -> SubspaceScorer:
        scaler = Scaler.fit(panel)
        window = self.window or (fitting_length(panel, WINDOW_OF_ONE) if panel.n_features == 1 else WINDOW)
        chosen = sample_whole_windows(panel, window, MAX_WINDOWS, self.random_state)
        rows = filled_windows(scaler, panel, window).flat(chosen).astype(np.float64)  # (n, F * window)
        mean = rows.mean(axis=0)
        covariance = np.atleast_2d(np.cov(rows - mean, rowvar=False))
        ridge = self.ridge * max(float(np.trace(covariance)) / len(covariance), 1e-6)
        precision = np.linalg.inv(covariance + ridge * np.eye(len(covariance)))
        return SubspaceScorer(scaler, window, mean, precision.astype(np.float64, copy=False))

    def _load_scorer(self, values: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> SubspaceScorer:
        scaler = Scaler.from_arrays(values["entities"], arrays, self.n_features_in_)
        n = self.n_features_in_ * values["window"]
        mean, precision = saved_array(arrays, "mean", (n,)), saved_array(arrays, "precision", (n, n))
        return SubspaceScorer(scaler, values["window"], mean, precision)


class SubspaceScorer(AdditiveScorer):
    """Squared Mahalanobis distance of windows.

    Parameters
    ----------
    window
        Rows of a window.
    mean
        ``(n_features * window,)``: the mean window, feature by feature.
    precision
        ``(n_features * window, n_features * window)``: inverse of the covariance.
    """

    def __init__(
        self, scaler: Scaler, window: int, mean: NDArray[np.float64], precision: NDArray[np.float64]
    ) -> None:
        self.scaler = scaler
        self.window = window
        self.mean = mean
        self.precision = precision

    @property
    def context(self) -> int:
        return 2 * self.window - 2

    def to_arrays(self) -> Arrays:
        entities, arrays = self.scaler.to_arrays()
        return {"entities": entities, "window": self.window}, {
            **arrays,
            "mean": self.mean,
            "precision": self.precision,
        }

    def _contributions(self, panel: Panel, rows: NDArray[np.int64] | None) -> NDArray[np.float64]:
        windows = filled_windows(self.scaler, panel, self.window)
        rows = np.arange(panel.n_rows) if rows is None else rows
        parts = np.empty((len(rows), panel.n_features))
        for i in range(0, len(rows), BATCH):
            away = windows.flat(rows[i : i + BATCH]) - self.mean
            products = away * (away @ self.precision)  # (n, F * window)
            shaped = products.reshape(len(away), panel.n_features, self.window)
            parts[i : i + BATCH] = shaped.sum(axis=2) / away.shape[1]
        return parts
