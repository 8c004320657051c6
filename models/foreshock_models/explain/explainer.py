"""Explain raw scores: attributions by a scorer, distributed by recent change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from foreshock_models.errors import ConfigError, allowed
from foreshock_models.explain.explanation import Explanation
from foreshock_models.explain.lime import Scores, lime_attributions
from foreshock_models.explain.recent_change import lookback_rows, recent_change, reweight
from foreshock_models.panel import Panel
from foreshock_models.usual_values import Baseline

__all__ = ["METHODS", "Attributes", "Explainer", "Method"]

Method = Literal["shap", "lime"]
METHODS: tuple[Method, ...] = ("shap", "lime")


class Attributes(Scores, Protocol):
    """A scorer, as far as an explainer needs it."""

    def attribute(self, panel: Panel, rows: NDArray[np.int64]) -> Explanation:
        """Return the attributions of the raw scores of `rows` ``(n,)``, increasing."""


@dataclass(frozen=True)
class Explainer:
    """Attributions of raw scores of a scorer.

    Parameters
    ----------
    scorer
        Gives Shapley values.
    baseline
        Gives the range of each feature, the unit of its recent change, and its usual values for LIME.
    seed
        Of the samples of LIME.
    """

    scorer: Attributes
    baseline: Baseline
    seed: int = 0

    def explain(
        self, panel: Panel, rows: NDArray[np.int64], *, method: Method = "shap", reweighted: bool = True
    ) -> Explanation:
        """Explain the raw scores of `rows` ``(n,)``, in any order.

        Parameters
        ----------
        method
            ``shap``: Shapley values. ``lime``: coefficients of a local linear model, about a thousand scored
            windows a row (`foreshock_models.explain.lime`).
        reweighted
            Of ``shap``: distribute what raised a score by how far each feature changed within the hour (see
            `foreshock_models.explain.recent_change`); False: Shapley values. Both have the same sum.

        Raises
        ------
        ConfigError
            Unknown method.
        """
        if method not in METHODS:
            raise ConfigError(f"method: {method!r} is unknown; {allowed(str(method), METHODS)}")
        numbers, back = np.unique(rows, return_inverse=True)
        part, places = excerpt(panel, numbers, max(self.scorer.context, lookback_rows(panel.step)))
        if method == "lime":
            found = lime_attributions(self.scorer, self.baseline, part, places, self.seed)
        else:
            found = self.scorer.attribute(part, places)
        attributions = found.attributions
        if reweighted and method == "shap":
            change = recent_change(part, places, self.baseline.range_of(part))
            attributions = reweight(attributions, change)
        return Explanation(
            panel.features,
            attributions[back],
            found.base[back],
            found.raw[back],
            panel.timestamps[rows],
            tuple(panel.entities[code] for code in panel.codes[rows]),
        )


def excerpt(panel: Panel, rows: NDArray[np.int64], context: int) -> tuple[Panel, NDArray[np.int64]]:
    """Return increasing `rows` with the `context` rows before each, and their numbers in that excerpt.

    Each connected run of rows becomes a block of its own, so that an entity may appear several times.
    """
    codes = panel.codes[rows]
    firsts = np.maximum(rows - context, panel.offsets[codes])
    begins = np.r_[True, (firsts[1:] > rows[:-1]) | np.diff(codes).astype(bool)]
    starts = np.flatnonzero(begins)
    lengths = rows[np.r_[starts[1:], len(rows)] - 1] + 1 - firsts[starts]
    offsets = np.r_[0, np.cumsum(lengths)]
    skipped = firsts[starts] - offsets[:-1]
    kept = np.arange(offsets[-1]) + np.repeat(skipped, lengths)
    names = tuple(panel.entities[code] for code in codes[starts])
    part = Panel(panel.values[kept], offsets, names, panel.features, panel.timestamps[kept], panel.step)
    return part, rows - skipped[np.cumsum(begins) - 1]
