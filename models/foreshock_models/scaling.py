"""Per-entity scaling: each feature of each entity on one robust scale."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from foreshock_models.kernels.compiled.scaling import scale
from foreshock_models.panel import Panel
from foreshock_models.saved_arrays import saved_array

__all__ = ["Scaler"]


@dataclass
class Scaler:
    """Center and spread of each feature, one row per entity, and a shared row for entities unknown at training.

    A constant feature gets the spread of that feature in other entities, or a thousandth of its own size: a
    change of it counts, rounding does not. A feature without any sample is scaled to 0.

    Parameters
    ----------
    entities
        One name per row of the tables but the last.
    center, spread
        ``(n_entities + 1, n_features)``, in the unit of the feature; the last row is the shared one.

    Examples
    --------
    >>> rows = Panel.of([[1.0], [2.0], [3.0]])
    >>> Scaler.fit(rows).transform(rows)[1]
    array([0.])
    """

    entities: tuple[str, ...]
    center: NDArray[np.float64]
    spread: NDArray[np.float64]

    @classmethod
    def fit(cls, panel: Panel) -> Self:
        """Learn median and robust spread of each feature of each entity."""
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
        # a spread far below that of other entities is rounding, not variation
        spread = np.where(np.nan_to_num(spread) > 0, np.maximum(spread, 0.02 * shared_spread), shared_spread)
        center = np.where(np.isnan(center), shared_center, center)
        return cls(panel.entities, np.vstack([center, shared_center]), np.vstack([spread, shared_spread]))

    @classmethod
    def fit_moments(cls, panel: Panel) -> Self:
        """Learn mean and standard deviation instead, to which rare peaks of training contribute."""
        robust = cls.fit(panel)
        center, spread = robust.center.copy(), robust.spread.copy()
        for i, (_, rows) in enumerate(panel):
            block = panel.values[rows]
            present = ~np.isnan(block)
            count = np.maximum(present.sum(axis=0), 1)
            mean = np.where(present, block, 0.0).sum(axis=0) / count
            deviation = np.sqrt((np.where(present, block - mean, 0.0) ** 2).sum(axis=0) / count)
            varies = deviation > 1e-9 * np.abs(mean)
            center[i, varies] = mean[varies]
            spread[i, varies] = np.maximum(deviation, 0.02 * spread[-1])[varies]
        return cls(panel.entities, center, spread)

    def rows_of(self, entities: tuple[str, ...]) -> NDArray[np.int64]:
        """Return the row of each entity in `center` and `spread` ``(n,)``; unknown ones get the shared row."""
        if entities == self.entities:
            return np.arange(len(entities))
        return np.array([self._index.get(name, len(self.entities)) for name in entities], dtype=np.int64)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.entities)}

    def transform(self, panel: Panel) -> NDArray[np.float64]:
        """Return scaled values ``(n_rows, n_features)``, clipped to ±12; gaps stay NaN."""
        entities = self.rows_of(panel.entities)
        found: NDArray[np.float64] = scale(panel.values, panel.offsets, entities, self.center, self.spread)
        return found

    def inverse_transform(self, scaled: NDArray[np.float64], panel: Panel) -> NDArray[np.float64]:
        """Return scaled values of the rows of `panel` in the units of the features."""
        rows = self.rows_of(panel.entities)[panel.codes]
        return scaled * self.spread[rows] + self.center[rows]

    def to_arrays(self) -> tuple[list[str], dict[str, NDArray[np.generic]]]:
        """Return names and arrays for `from_arrays`."""
        return list(self.entities), {"scaler.center": self.center, "scaler.spread": self.spread}

    @classmethod
    def from_arrays(cls, entities: list[str], arrays: dict[str, NDArray[Any]], n_features: int) -> Self:
        """Restore a scaler from `to_arrays`.

        Raises
        ------
        ArtifactError
            The arrays have another shape or type than those of these entities and features.
        """
        shape = (len(entities) + 1, n_features)
        center, spread = (saved_array(arrays, f"scaler.{name}", shape) for name in ("center", "spread"))
        return cls(tuple(entities), center, spread)
