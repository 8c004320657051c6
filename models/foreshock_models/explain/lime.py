"""LIME: a linear model of the raw score around one window.

M. T. Ribeiro, S. Singh, C. Guestrin: "Why should I trust you?": Explaining the predictions of any classifier.
KDD 2016.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from foreshock_models.explain.explanation import Explanation
from foreshock_models.panel import Panel
from foreshock_models.usual_values import Baseline

__all__ = ["Scores", "lime_attributions"]

SAMPLES = 1000
"""Windows that are scored for one explanation, as the package does for images; all subsets, if they are fewer."""

KERNEL_WIDTH = 0.25
"""Width of the kernel over cosine distances, the default of the package for images."""

MAX_VALUES = 2_000_000
"""Values that are scored in one call: 16 MB."""


class Scores(Protocol):
    """A scorer, as far as LIME needs it."""

    @property
    def context(self) -> int:
        """Rows before a row that its raw score looks at."""

    def score(self, panel: Panel, rows: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """Return the raw scores ``(n,)`` of `rows`."""


def lime_attributions(
    scorer: Scores, baseline: Baseline, panel: Panel, rows: NDArray[np.int64], seed: int
) -> Explanation:
    """Return attributions of the raw scores of `rows` ``(n,)`` by LIME.

    The interpretable representation has one component for each feature: its values in the window of the row are as
    observed, or as usual at that hour. The package ``lime`` fits a ridge regression on windows of
    random such components, weighted by their similarity to the observed window. The coefficient of a feature is its
    attribution, the intercept the base. Unlike Shapley values, they do not add up to the raw score exactly.
    """
    found = [_explain(scorer, baseline, panel, int(row), seed) for row in rows]
    base, raw = (np.array([one[i] for one in found]) for i in (0, 1))
    attributions = np.array([one[2] for one in found]).reshape(len(rows), panel.n_features)
    return Explanation(panel.features, attributions, base, raw)


def _explain(
    scorer: Scores, baseline: Baseline, panel: Panel, row: int, seed: int
) -> tuple[float, float, NDArray[np.float64]]:
    """Return base, raw score and attributions ``(n_features,)`` of one row."""
    from lime.lime_base import LimeBase  # type: ignore[import-untyped]
    from sklearn.metrics import pairwise_distances

    first = max(row - scorer.context, int(panel.offsets[panel.codes[row]]))
    window = panel.rows(first, row + 1)
    observed = np.asarray(_components(panel.n_features, seed))
    raw = _score_samples(scorer, window, _usual(baseline, window), observed)
    distances = pairwise_distances(observed, observed[:1], metric="cosine").ravel()
    surrogate = LimeBase(_kernel, random_state=np.random.RandomState(seed))
    base, weights, _, _ = surrogate.explain_instance_with_data(
        observed, raw[:, None], distances, 0, panel.n_features, feature_selection="none"
    )
    attributions = np.zeros(panel.n_features)
    for feature, weight in weights:
        attributions[feature] = weight
    return float(base), float(raw[0]), attributions


def _components(n_features: int, seed: int) -> NDArray[np.float64]:
    """Return which features are as observed ``(n_samples, n_features)``, 1 or 0; the first row is all of them."""
    if 2**n_features <= SAMPLES:
        numbers = np.arange(2**n_features)[::-1]
        return (numbers[:, None] >> np.arange(n_features) & 1).astype(np.float64)
    drawn = np.random.default_rng(seed).integers(0, 2, (SAMPLES, n_features)).astype(np.float64)
    drawn[0] = 1.0
    return drawn


def _usual(baseline: Baseline, window: Panel) -> NDArray[np.float64]:
    """Return the values of the window if all were usual; a feature without a usual value, and gaps, stay."""
    usual = baseline.at(window)[1]
    return np.where(np.isnan(usual) | np.isnan(window.values), window.values, usual)


def _score_samples(
    scorer: Scores, window: Panel, usual: NDArray[np.float64], observed: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the raw score of the last row of each sample ``(n_samples,)``."""
    length = window.n_rows
    at_once = max(1, MAX_VALUES // window.values.size)
    found = []
    for start in range(0, len(observed), at_once):
        chosen = observed[start : start + at_once, None, :] > 0  # (n, 1, F)
        values = np.where(chosen, window.values, usual).reshape(-1, window.n_features)  # (n, L, F) -> (n L, F)
        n = len(chosen)
        block = Panel(
            values,
            np.arange(n + 1) * length,
            window.entities * n,
            window.features,
            np.tile(window.timestamps, n),
            window.step,
        )
        found.append(scorer.score(block, np.arange(1, n + 1) * length - 1))
    return np.concatenate(found)


def _kernel(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    weights: NDArray[np.float64] = np.sqrt(np.exp(-(distances**2) / KERNEL_WIDTH**2))
    return weights
