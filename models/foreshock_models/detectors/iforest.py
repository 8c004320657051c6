"""Isolation Forest on window statistics [1]_, one forest for each feature.

.. [1] Liu, Ting and Zhou, "Isolation Forest", ICDM 2008.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from foreshock_models.detectors._detector import Detector
from foreshock_models.detectors._scorer import AdditiveScorer, Arrays
from foreshock_models.detectors._search_space import Choice, Float, Int, Space
from foreshock_models.detectors._trees import Forest, grow, score_forests
from foreshock_models.errors import ArtifactError
from foreshock_models.explain.explanation import Explanation
from foreshock_models.kernels.compiled.iforest import contributions, excess
from foreshock_models.kernels.compiled.windows import trailing_rows, window_statistics
from foreshock_models.panel import Panel
from foreshock_models.saved_arrays import saved_array
from foreshock_models.scaling import Scaler

__all__ = ["ForestScorer", "IForest"]

STATISTICS = 4
"""Statistics of a window that `window_statistics` gives."""
SCALE_ROWS = 20_000
"""Rows, drawn at random, that the scale of the scores is fitted on."""


class IForest(Detector):
    """Isolation forest on level, trend and spread of each feature over trailing windows, one forest per feature.

    The raw score is the mean over the features of how far the isolation score exceeds what nearly all training rows
    got, times the distance of the row: isolation alone is bounded, and does not tell a little beyond the training
    rows from a lot. The score is a sum of functions of one feature each, so its Shapley values are known in closed
    form and add up exactly.

    Parameters
    ----------
    n_trees
        Trees per feature.
    max_samples
        Rows that each tree is grown on. The memory of a scorer grows with it: 16 bytes for each such row and tree.
    short, long
        Lengths of the two windows, in rows.
    smoothing
        Rows over which the score is averaged.
    quantile
        Isolation scores below this quantile of the training rows count as none.
    contamination
        Share of the training rows that `predict` calls outliers.
    random_state
        Seed; the same seed gives the same model.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(500, 2))
    >>> x[400:410] += 8
    >>> scores = IForest(n_trees=25).fit(x[:300]).decision_function(x)
    >>> bool(scores[400:410].min() > scores[:390].max())
    True
    """

    name = "iforest"
    exact_attributions = True

    def __init__(
        self,
        *,
        n_trees: int = 40,
        max_samples: int = 256,
        short: int = 5,
        long: int = 60,
        smoothing: int = 8,
        quantile: float = 0.95,
        contamination: float = 0.01,
        random_state: int = 0,
    ) -> None:
        super().__init__(contamination=contamination, random_state=random_state)
        self.n_trees = n_trees
        self.max_samples = max_samples
        self.short = short
        self.long = long
        self.smoothing = smoothing
        self.quantile = quantile

    @classmethod
    def check_cases(cls) -> Sequence[Self]:
        return (cls(n_trees=20),)

    @classmethod
    def search_space(cls, n_features: int) -> Space:
        return {
            "short": Int(2, 40, 5, log=True),
            "long": Int(20, 300, 60, log=True),
            "smoothing": Int(1, 60, 8, log=True),
            "quantile": Float(0.7, 0.98, 0.95),
            "max_samples": Choice((64, 128, 256, 512), 256),
        }

    def _fit_scorer(self, panel: Panel) -> ForestScorer:
        lengths = (self.short, self.long, self.smoothing)
        scaler = Scaler.fit(panel)
        rng = np.random.default_rng(self.random_state)
        rows = _rows_with_samples(panel)
        chosen = rng.choice(rows, size=min(len(rows), 20 * self.max_samples), replace=False)
        numbers, back = np.unique(chosen, return_inverse=True)
        x = _statistics(scaler.transform(panel), panel, numbers, lengths)[:, back]
        forest = grow(x, self.n_trees, self.max_samples, self.random_state)
        # a forest that saw a single value tells everything else apart by nothing: it has no weight
        weight = np.where(np.ptp(x[:, :, 0], axis=1) > 0, 1.0, 0.0) / panel.n_features
        size = np.maximum(np.quantile(np.abs(x), 0.99, axis=1), 0.1)  # (n_features, 4)
        return ForestScorer(scaler, lengths, forest, size, weight, self.quantile, self.random_state)

    def _load_scorer(self, values: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> ForestScorer:
        scaler = Scaler.from_arrays(values["entities"], arrays, self.n_features_in_)
        n = self.n_features_in_
        forest = Forest.from_arrays(arrays)
        if forest.roots.shape != (n, self.n_trees) or forest.feature.max(initial=0) >= STATISTICS:
            raise ArtifactError("the saved model is damaged: its trees are not those of its features")
        size, weight = saved_array(arrays, "size", (n, STATISTICS), np.float32), saved_array(arrays, "weight", (n,))
        scorer = ForestScorer(
            scaler, tuple(values["lengths"]), forest, size, weight, self.quantile, self.random_state
        )
        scorer.floor, scorer.base = (saved_array(arrays, name, (n,)) for name in ("floor", "base"))
        return scorer


class ForestScorer(AdditiveScorer):
    """Raw scores by isolation forests.

    Parameters
    ----------
    lengths
        Rows of the short and the long window, and of the trailing mean.
    forest
        One forest per feature.
    size
        ``(n_features, 4)``: unit of the distance of each window statistic.
    weight
        ``(n_features,)``: weight of each feature.
    quantile, seed
        Of the isolation scores of the training rows, and of their draw.
    """

    floor: NDArray[np.float64]
    """``(n_features,)``: isolation scores up to this count as none."""
    base: NDArray[np.float64]
    """``(n_features,)``: mean contribution of each feature in training."""

    def __init__(
        self,
        scaler: Scaler,
        lengths: tuple[int, ...],
        forest: Forest,
        size: NDArray[Any],
        weight: NDArray[np.float64],
        quantile: float,
        seed: int,
    ) -> None:
        self.scaler = scaler
        self.lengths = lengths
        self.forest = forest
        self.size = size
        self.weight = weight
        self.quantile = quantile
        self.seed = seed

    @property
    def context(self) -> int:
        _, long, smoothing = self.lengths
        return long + smoothing - 2

    def fit_scale(self, panel: Panel, held_back: NDArray[np.bool_]) -> None:
        rng = np.random.default_rng(self.seed)
        rows = _rows_with_samples(panel)
        chosen = np.sort(rng.choice(rows, size=min(len(rows), SCALE_ROWS), replace=False))
        z = self.scaler.transform(panel)
        scores = score_forests(self.forest, _statistics(z, panel, chosen, self.lengths))
        self.floor = np.quantile(scores, self.quantile, axis=0)
        short, long, _ = self.lengths
        needed, starts, _, _ = trailing_rows(panel.offsets, chosen, 1)
        learnt = self.forest.complete, self.floor, self.size, self.weight
        self.base = excess(z, starts, needed, short, long, *learnt).mean(axis=0)

    def attribute(self, panel: Panel, rows: NDArray[np.int64]) -> Explanation:
        parts = self._contributions(panel, rows)
        base = np.full(len(rows), self.base.sum())
        return Explanation(panel.features, parts - self.base, base, parts.sum(axis=1))

    def to_arrays(self) -> Arrays:
        entities, scaler = self.scaler.to_arrays()
        arrays = {
            **scaler,
            **self.forest.to_arrays(),
            "floor": self.floor,
            "size": self.size,
            "weight": self.weight,
            "base": self.base,
        }
        return {"entities": entities, "lengths": list(self.lengths)}, arrays

    def _contributions(self, panel: Panel, rows: NDArray[np.int64] | None) -> NDArray[np.float64]:
        scaler, (short, long, smoothing) = self.scaler, self.lengths
        found: NDArray[np.float64] = contributions(
            panel.values,
            panel.offsets,
            scaler.rows_of(panel.entities),
            scaler.center,
            scaler.spread,
            np.arange(panel.n_rows) if rows is None else rows,
            short,
            long,
            smoothing,
            self.forest.complete,
            self.floor,
            self.size,
            self.weight,
        )
        return found


def _rows_with_samples(panel: Panel) -> NDArray[np.int64]:
    return np.flatnonzero(~np.isnan(panel.values).all(axis=1))


def _statistics(
    z: NDArray[np.float64], panel: Panel, rows: NDArray[np.int64], lengths: tuple[int, ...]
) -> NDArray[np.float32]:
    """Window statistics of increasing `rows` of the scaled values `z`: ``(n_features, n, 4)``."""
    short, long, _ = lengths
    needed, starts, _, _ = trailing_rows(panel.offsets, rows, 1)
    found: NDArray[np.float32] = window_statistics(z, starts, needed, short, long)
    return found
