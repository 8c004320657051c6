"""Usual values of each feature of an entity by hour of the day: for alert rules and for people."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from foreshock_models.panel import Panel
from foreshock_models.saved_arrays import saved_array

__all__ = ["HOURS", "QUANTILES", "Baseline"]

HOURS = 24
QUANTILES = (0.02, 0.5, 0.98)
MIN_DAYS = 2.0
"""With less history, each hour of the day has been seen too rarely: the whole day is pooled."""


@dataclass(frozen=True)
class Baseline:
    """Usual values and their band, learnt from the training rows.

    A prediction follows an anomaly that lasts; a baseline does not, so that a person reads on an alert which value
    the metric would have on a usual day.

    Parameters
    ----------
    entities
        One name per row of the tables but the last, which all unknown entities share.
    table
        ``(n_entities + 1, 24, 3, n_features)``: lower end, median and upper end by hour of the day, in UTC.
    value_range
        ``(n_entities + 1, n_features)``: distance from the lowest to the highest value. For a constant feature,
        that of other entities, else a tenth of its size; 0 for a feature that is always 0 or always missing.

    Examples
    --------
    >>> day = Panel.of(np.tile(np.arange(24.0), 3), step=3600)
    >>> lower, middle, upper = Baseline.fit(day).at(day)
    >>> middle[5:8, 0].tolist()
    [5.0, 6.0, 7.0]
    """

    entities: tuple[str, ...]
    table: NDArray[np.float32]
    value_range: NDArray[np.float64]

    @classmethod
    def fit(cls, panel: Panel) -> Self:
        """Learn the usual values of each entity of `panel`."""
        days = panel.step * int(panel.lengths.max()) / 86400
        hours = _hours(panel)
        table = np.full((panel.n_entities + 1, HOURS, len(QUANTILES), panel.n_features), np.nan, np.float32)
        for i, (_, rows) in enumerate(panel):
            block = np.ascontiguousarray(panel.values[rows].T, np.float32)
            if days >= MIN_DAYS:
                table[i] = _quantiles(_by_hour(block, hours[rows])).transpose(1, 2, 0)
            unknown = np.isnan(table[i])
            if unknown.any():
                table[i] = np.where(unknown, _quantiles(block).T, table[i])
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="All-NaN (slice|axis) encountered")  # stays NaN: unknown
            table[-1] = np.nanmedian(table[:-1], axis=0)
            value_range = _value_range(panel)
        return cls(panel.entities, table, value_range)

    def at(self, panel: Panel) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return lower end, median and upper end for each row, each ``(n_rows, n_features)``; NaN where unknown."""
        found = self.table[self._places(panel)[panel.codes], _hours(panel)].astype(np.float64)
        return found[:, 0], found[:, 1], found[:, 2]

    def deviation(self, panel: Panel) -> NDArray[np.float64]:
        """Return how far the values of each row are outside of their band ``(n_rows,)``, in widths of the band.

        The mean over the features; 0 where all values are usual, NaN where no band is known.
        """
        from foreshock_models.kernels.compiled.deviation import deviations  # not everyone who shows a band compiles

        known = self._places(panel) % len(self.table)
        found: NDArray[np.float64] = deviations(
            panel.values, panel.timestamps, panel.offsets, known, self.table, self.value_range
        )
        return found

    def range_of(self, panel: Panel) -> NDArray[np.float64]:
        """Return the value range of the entities of `panel` ``(n_entities, n_features)``."""
        return self.value_range[self._places(panel)]

    def to_arrays(self) -> tuple[list[str], dict[str, NDArray[np.generic]]]:
        """Return names and arrays for `from_arrays`."""
        return list(self.entities), {"profile": self.table, "profile.reach": self.value_range}

    @classmethod
    def from_arrays(
        cls, entities: list[str], arrays: dict[str, NDArray[Any]], n_features: int, prefix: str = ""
    ) -> Self:
        """Restore a baseline from `to_arrays`.

        Raises
        ------
        ArtifactError
            The arrays have another shape or type than those of these entities and features.
        """
        n = len(entities) + 1
        table = saved_array(arrays, f"{prefix}profile", (n, HOURS, len(QUANTILES), n_features), np.float32)
        return cls(tuple(entities), table, saved_array(arrays, f"{prefix}profile.reach", (n, n_features)))

    def _places(self, panel: Panel) -> NDArray[np.int64]:
        """Row of each entity of `panel` in the tables; -1, the last one, for an unknown entity."""
        return np.array([self._index.get(name, -1) for name in panel.entities], np.int64)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.entities)}


def _hours(panel: Panel) -> NDArray[np.int64]:
    """Hour of the day of each row ``(n_rows,)``, in UTC."""
    hours: NDArray[np.int64] = panel.timestamps // 3_600_000 % HOURS
    return hours


def _by_hour(block: NDArray[np.float32], hours: NDArray[np.int64]) -> NDArray[np.float32]:
    """``(n_features, n_rows)`` -> ``(n_features, 24, most rows of an hour)``, padded with NaN."""
    order = np.argsort(hours, kind="stable")
    counts = np.bincount(hours, minlength=HOURS)
    place = np.arange(len(hours)) - np.repeat(np.cumsum(counts) - counts, counts)
    out = np.full((len(block), HOURS, counts.max()), np.nan, np.float32)
    out[:, hours[order], place] = block[:, order]
    return out


def _quantiles(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """``(..., n)`` -> ``(..., 3)``, as `np.nanquantile` computes them; that goes through the series one by one."""
    ranked = np.sort(values, axis=-1)  # NaN comes last
    last = np.count_nonzero(~np.isnan(values), axis=-1)[..., None] - 1
    place = np.maximum(last * np.array(QUANTILES), 0.0)
    below = place.astype(np.int64)
    a = np.take_along_axis(ranked, below, axis=-1).astype(np.float64)
    b = np.take_along_axis(ranked, np.minimum(below + 1, np.maximum(last, 0)), axis=-1)
    found: NDArray[np.float64] = a + (b - a) * (place - below)
    return found


def _value_range(panel: Panel) -> NDArray[np.float64]:
    """See `Baseline.value_range`."""
    high = np.fmax.reduceat(panel.values, panel.offsets[:-1])
    low = np.fmin.reduceat(panel.values, panel.offsets[:-1])
    own = high - low
    size = np.nan_to_num(np.maximum(np.abs(high), np.abs(low)))
    shared = np.nanmedian(np.where(own > 0, own, np.nan), axis=0)
    shared = np.where(np.isnan(shared), 0.1 * size.max(axis=0), shared)
    return np.vstack([np.where(own > 0, own, shared), shared])
