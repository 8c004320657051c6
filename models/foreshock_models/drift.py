"""Drift of inputs: how far the distribution of each feature is from that in training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from foreshock_models.panel import Panel

__all__ = ["InputDistribution"]

DECILES = np.arange(0.1, 0.95, 0.1)
MIN_SHARE = 1e-4
"""An empty bin counts as this share: the logarithm of 0 is not a number."""


@dataclass(frozen=True)
class InputDistribution:
    """Distribution of each feature in training: shares of rows in ten bins, below, above, and missing.

    All entities count together.

    Parameters
    ----------
    edges, shares
        Feature to the edges of its bins, and to the share of rows in each.
    """

    edges: Mapping[str, tuple[float, ...]]
    shares: Mapping[str, tuple[float, ...]]

    @classmethod
    def fit(cls, panel: Panel) -> Self:
        """Learn from the rows of training."""
        edges: dict[str, tuple[float, ...]] = {}
        shares: dict[str, tuple[float, ...]] = {}
        for name, column in zip(panel.features, panel.values.T, strict=True):
            known = column[~np.isnan(column)]
            cuts = np.zeros(0)
            if len(known):
                above = np.nextafter(known.max(), np.inf)  # the highest value is inside, larger ones are not
                cuts = np.unique([known.min(), *np.quantile(known, DECILES), above])
            edges[name] = tuple(cuts.tolist())
            shares[name] = tuple(_shares(column, cuts).tolist())
        return cls(edges, shares)

    def psi(self, panel: Panel) -> dict[str, float]:
        """Return the population stability index of each feature: 0 is no change, above 0.25 commonly a shift.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> inputs = InputDistribution.fit(Panel.of(rng.normal(size=(5000, 1))))
        >>> same, moved = (inputs.psi(Panel.of(rng.normal(m, 1, (5000, 1))))["feature_0"] for m in (0, 1))
        >>> same < 0.01, moved > 0.25
        (True, True)
        """
        columns = dict(zip(panel.features, panel.values.T, strict=True))
        found = {}
        for name, before in self.shares.items():
            if name in columns and len(columns[name]):
                then = np.maximum(before, MIN_SHARE)
                now = np.maximum(_shares(columns[name], np.array(self.edges[name])), MIN_SHARE)
                found[name] = round(float(((now - then) * np.log(now / then)).sum()), 4)
        return found

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values for `from_dict`."""
        return {name: {"edges": list(self.edges[name]), "shares": list(self.shares[name])} for name in self.edges}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Restore a distribution from `as_dict`."""
        return cls(
            {name: tuple(value["edges"]) for name, value in values.items()},
            {name: tuple(value["shares"]) for name, value in values.items()},
        )


def _shares(column: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the rows in each bin, the missing ones last ``(n_edges + 2,)``."""
    missing = np.isnan(column)
    counts = np.bincount(np.searchsorted(edges, column[~missing], side="right"), minlength=len(edges) + 1)
    shares: NDArray[np.float64] = np.r_[counts, missing.sum()] / len(column)
    return shares
