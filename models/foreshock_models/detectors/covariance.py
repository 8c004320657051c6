"""Distance of the levels of all features, at several time scales, by their covariance [1]_.

.. [1] Mahalanobis, "On the generalised distance in statistics", 1936; the levels are those of a dyadic filter bank.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from foreshock_models.detectors._detector import Detector
from foreshock_models.detectors._scorer import AdditiveScorer, Arrays
from foreshock_models.detectors._search_space import Float, Int, Space
from foreshock_models.kernels.compiled.levels import trailing_levels
from foreshock_models.kernels.compiled.windows import forward_fill, trailing_rows
from foreshock_models.panel import Panel
from foreshock_models.saved_arrays import saved_array
from foreshock_models.scaling import Scaler

__all__ = ["Covariance", "CovarianceScorer"]

MAX_ROWS = 50_000
"""Training rows that the covariance is taken over, drawn at random from all."""
BATCH = 4096


class Covariance(Detector):
    """Mahalanobis distance of the means of each feature over the last 1, 2, 4, 8 ... rows.

    Features that usually move together, and levels that usually follow one another, are anomalous where they do
    not. Slow drift is subtracted: each value counts from the mean of the last `memory` rows. The raw score is a
    quadratic form, so its Shapley values against the mean are known in closed form and add up exactly.

    Parameters
    ----------
    scales
        Number of means: the longest is over ``2 ** (scales - 1)`` rows.
    memory
        Rows of the mean that drift is measured by.
    ridge
        Variance added to every direction, as a share of the mean variance: directions that training never used
        count, but not without bound. It grows as rows become few for the number of directions.
    contamination
        Share of the training rows that `predict` calls outliers.
    random_state
        Seed; the same seed gives the same model.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x = np.repeat(rng.normal(size=(900, 1)), 2, axis=1) + rng.normal(size=(900, 2)) * 0.1
    >>> x[700:730, 1] *= -1
    >>> scores = Covariance().fit(x[:500]).decision_function(x)
    >>> bool(scores[700:730].mean() > 10 * scores[500:690].mean())
    True
    """

    name = "covariance"
    exact_attributions = True

    def __init__(
        self,
        *,
        scales: int = 7,
        memory: int = 256,
        ridge: float = 0.1,
        contamination: float = 0.01,
        random_state: int = 0,
    ) -> None:
        super().__init__(contamination=contamination, random_state=random_state)
        self.scales = scales
        self.memory = memory
        self.ridge = ridge

    @classmethod
    def search_space(cls, n_features: int) -> Space:
        return {
            "scales": Int(3, 8, 7),
            "memory": Int(64, 1024, 256, log=True),
            "ridge": Float(1e-3, 1.0, 0.1, log=True),
        }

    @classmethod
    def check_cases(cls) -> Sequence[Self]:
        return (cls(),)

    def _fit_scorer(self, panel: Panel) -> CovarianceScorer:
        size = panel.n_features * self.scales
        scaler = Scaler.fit_moments(panel)
        return CovarianceScorer(
            scaler, self.scales, self.memory, np.zeros(size), np.zeros((size, size)), self.ridge, self.random_state
        )

    def _load_scorer(self, values: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> CovarianceScorer:
        levels = self.n_features_in_ * values["scales"]
        return CovarianceScorer(
            Scaler.from_arrays(values["entities"], arrays, self.n_features_in_), values["scales"], values["memory"],
            saved_array(arrays, "mean", (levels,)), saved_array(arrays, "precision", (levels, levels)),
            self.ridge, self.random_state,
        )  # fmt: skip


class CovarianceScorer(AdditiveScorer):
    """Mahalanobis distance of levels.

    Moments are those of all training rows: they are few numbers of many rows, and fit the newest no better
    than the others. A feature with a single value in training has no weight.

    Parameters
    ----------
    scales, memory
        As in `trailing_levels`.
    mean
        ``(n_features * scales,)``: mean levels, feature by feature.
    precision
        ``(n_features * scales, n_features * scales)``: inverse of the covariance of the levels.
    ridge, seed
        Of `fit_scale`.
    """

    def __init__(
        self,
        scaler: Scaler,
        scales: int,
        memory: int,
        mean: NDArray[np.float64],
        precision: NDArray[np.float64],
        ridge: float,
        seed: int,
    ) -> None:
        self.scaler = scaler
        self.scales = scales
        self.memory = memory
        self.mean = mean
        self.precision = precision
        self.ridge = ridge
        self.seed = seed

    @property
    def context(self) -> int:
        return self.memory + self._longest - 2

    def fit_scale(self, panel: Panel, held_back: NDArray[np.bool_]) -> None:
        self.scaler = Scaler.fit_moments(panel)
        rng = np.random.default_rng(self.seed)
        chosen = np.sort(rng.choice(panel.n_rows, size=min(panel.n_rows, MAX_ROWS), replace=False))
        levels = self._levels(panel, chosen)
        used = np.repeat(np.fmax.reduce(panel.values) > np.fmin.reduce(panel.values), self.scales)
        self.mean = levels.mean(axis=0)
        self.precision = np.zeros((len(used), len(used)))
        if not used.any():
            return
        covariance = np.atleast_2d(np.cov(levels[:, used], rowvar=False, bias=True))
        share = self.ridge + len(covariance) / len(chosen)
        covariance += share * max(float(np.trace(covariance)) / len(covariance), 1e-9) * np.eye(len(covariance))
        self.precision[np.ix_(used, used)] = np.linalg.inv(covariance)

    def to_arrays(self) -> Arrays:
        entities, arrays = self.scaler.to_arrays()
        values = {"entities": entities, "scales": self.scales, "memory": self.memory}
        return values, {**arrays, "mean": self.mean, "precision": self.precision}

    @property
    def _longest(self) -> int:
        return 1 << (self.scales - 1)

    def _levels(self, panel: Panel, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Levels of `rows` ``(n, n_features * scales)``; a gap is filled with the last value, a long one with 0."""
        x = forward_fill(self.scaler.transform(panel), panel.offsets, self._longest)
        needed, starts, _, _ = trailing_rows(panel.offsets, rows, 1)
        found: NDArray[np.float64] = trailing_levels(x, starts, needed, self.scales, self.memory)
        return found

    def _contributions(self, panel: Panel, rows: NDArray[np.int64] | None) -> NDArray[np.float64]:
        rows = np.arange(panel.n_rows) if rows is None else rows
        parts = np.empty((len(rows), panel.n_features))
        for i in range(0, len(rows), BATCH):
            away = self._levels(panel, rows[i : i + BATCH]) - self.mean
            products = away * (away @ self.precision)  # (n, F * scales)
            parts[i : i + BATCH] = products.reshape(len(away), -1, self.scales).sum(axis=2) / away.shape[1]
        return parts
