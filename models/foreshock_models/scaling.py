"""Per-entity scaling: every feature of every entity on one robust scale, gaps and constants handled on purpose."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from foreshock_models.panel import Panel

__all__ = ["Scaler", "scaled"]

LIMIT = 12.0
"""Scaled values are clipped here: one wild sample must not drown all others."""


@dataclass
class Scaler:
    """Centre and spread of each feature, one row per entity, and a shared row for entities unknown at training.

    A constant feature gets the spread of that feature in other entities, or a thousandth of its own size: a
    change of it counts, rounding does not. A feature without any sample is scaled to 0.

    Attributes
    ----------
    center, spread : ``(n_entities + 1, n_features)``; the last row is the shared one
    """

    entities: tuple[str, ...]
    center: NDArray[np.float64]
    spread: NDArray[np.float64]

    @classmethod
    def fit(cls, panel: Panel) -> Self:
        blocks = [panel.values[rows] for _, rows in panel]
        with warnings.catch_warnings():
            # an all-null feature: its NaN is replaced below
            warnings.filterwarnings("ignore", message="All-NaN slice encountered")
            warnings.filterwarnings("ignore", message="Degrees of freedom <= 0")
            warnings.filterwarnings("ignore", message="Mean of empty slice")
            low, center, high = np.stack([np.nanquantile(b, [0.25, 0.5, 0.75], axis=0) for b in blocks], axis=1)
            deviation = np.stack([np.nanstd(b, axis=0) for b in blocks])
            spread = np.maximum((high - low) / 1.349, 0.3 * deviation)
            shared_center = np.nanmedian(center, axis=0)
            alive = np.where(spread > 0, spread, np.nan)
            shared_spread = np.nanmedian(alive, axis=0)
            size = np.nanmax(np.abs(center), axis=0)
        shared_center = np.nan_to_num(shared_center)
        floor = np.maximum(1e-3 * np.nan_to_num(size), 1e-9)
        shared_spread = np.maximum(np.where(np.isnan(shared_spread), floor, shared_spread), 1e-12)
        # a spread far below the other entities' own is rounding, not rhythm
        spread = np.where(np.nan_to_num(spread) > 0, np.maximum(spread, 0.02 * shared_spread), shared_spread)
        center = np.where(np.isnan(center), shared_center, center)
        return cls(panel.entities, np.vstack([center, shared_center]), np.vstack([spread, shared_spread]))

    def rows_of(self, entities: tuple[str, ...]) -> NDArray[np.int64]:
        """Row of each entity in `center` and `spread`; unknown ones get the shared row."""
        if entities == self.entities:
            return np.arange(len(entities))
        return np.array([self._number.get(name, len(self.entities)) for name in entities], dtype=np.int64)

    @cached_property
    def _number(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.entities)}

    def transform(self, panel: Panel) -> NDArray[np.float64]:
        """Scaled values ``(n_rows, n_features)``, clipped to ±12; gaps stay NaN."""
        entities = self.rows_of(panel.entities)
        found: NDArray[np.float64] = scaled(panel.values, panel.offsets, entities, self.center, self.spread)
        return found

    def inverse(self, scaled: NDArray[np.float64], panel: Panel) -> NDArray[np.float64]:
        """Scaled values of the rows of `panel`, back in their own units."""
        rows = self.rows_of(panel.entities)[panel.codes]
        return scaled * self.spread[rows] + self.center[rows]

    def to_arrays(self) -> tuple[list[str], dict[str, NDArray[np.generic]]]:
        return list(self.entities), {"scaler.center": self.center, "scaler.spread": self.spread}

    @classmethod
    def from_arrays(cls, entities: list[str], arrays: dict[str, NDArray[Any]]) -> Self:
        return cls(tuple(entities), arrays["scaler.center"], arrays["scaler.spread"])


@njit(cache=True, nogil=True)
def scaled(
    values: NDArray[np.float64],
    offsets: NDArray[np.int64],
    entities: NDArray[np.int64],
    center: NDArray[np.float64],
    spread: NDArray[np.float64],
) -> NDArray[np.float64]:
    """`Scaler.transform` in one pass; ``entities`` ``(n_entities,)``: the row of each in `center` and `spread`."""
    out = np.empty(values.shape)
    for e in range(len(offsets) - 1):
        known = entities[e]
        for i in range(offsets[e], offsets[e + 1]):
            for j in range(values.shape[1]):
                z = (values[i, j] - center[known, j]) / spread[known, j]
                if z > LIMIT:
                    z = LIMIT
                elif z < -LIMIT:
                    z = -LIMIT
                out[i, j] = z  # a gap is neither, and stays NaN
    return out
