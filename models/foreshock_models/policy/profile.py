"""What is usual for each feature of an entity at an hour of the day: for rules and for people."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from foreshock_models.panel import Panel

__all__ = ["Profile"]

HOURS = 24
QUANTILES = (0.02, 0.5, 0.98)
MIN_DAYS = 2.0
"""With less history an hour of the day has been seen too rarely: the whole day is one."""


@dataclass(frozen=True)
class Profile:
    """Usual values and their band, learnt from the training rows.

    A prediction follows an anomaly that lasts; a profile does not, so that a person reads on an alert what the
    value would be on a usual day.

    Attributes
    ----------
    table : ``(n_entities + 1, 24, 3, n_features)`` lower end, median, upper end; the last entity is the shared one
    reach : ``(n_entities + 1, n_features)`` from the lowest to the highest value; of a feature that is constant,
        that of other entities, else a tenth of its size; 0 for one that is always 0 or never there
    """

    entities: tuple[str, ...]
    table: NDArray[np.float32]
    reach: NDArray[np.float64]

    @classmethod
    def fit(cls, panel: Panel) -> Self:
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
            reach = _reach(panel)
        return cls(panel.entities, table, reach)

    def at(self, panel: Panel) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Lower end, median and upper end for each row, each ``(n_rows, n_features)``; NaN where unknown."""
        found = self.table[self._numbers(panel)[panel.codes], _hours(panel)].astype(np.float64)
        return found[:, 0], found[:, 1], found[:, 2]

    def reach_of(self, panel: Panel) -> NDArray[np.float64]:
        """``(n_entities, n_features)`` of the entities of `panel`; an unknown one gets the shared reach."""
        return self.reach[self._numbers(panel)]

    def _numbers(self, panel: Panel) -> NDArray[np.int64]:
        known = {name: i for i, name in enumerate(self.entities)}
        return np.array([known.get(name, -1) for name in panel.entities], np.int64)

    def to_arrays(self) -> tuple[list[str], dict[str, NDArray[np.generic]]]:
        return list(self.entities), {"profile": self.table, "profile.reach": self.reach}

    @classmethod
    def from_arrays(cls, entities: list[str], arrays: dict[str, NDArray[Any]]) -> Self:
        return cls(tuple(entities), arrays["profile"], arrays["profile.reach"])


def _hours(panel: Panel) -> NDArray[np.int64]:
    hours: NDArray[np.int64] = panel.timestamps // 3_600_000 % HOURS
    return hours


def _by_hour(block: NDArray[np.float32], hours: NDArray[np.int64]) -> NDArray[np.float32]:
    """``(n_features, n_rows)`` -> ``(n_features, 24, most rows of an hour)``, filled up with NaN."""
    order = np.argsort(hours, kind="stable")
    counts = np.bincount(hours, minlength=HOURS)
    place = np.arange(len(hours)) - np.repeat(np.cumsum(counts) - counts, counts)
    out = np.full((len(block), HOURS, counts.max()), np.nan, np.float32)
    out[:, hours[order], place] = block[:, order]
    return out


def _quantiles(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """``(..., n)`` -> ``(..., 3)`` as `np.nanquantile` has it, which goes through the series one by one."""
    ranked = np.sort(values, axis=-1)  # NaN comes last
    last = np.count_nonzero(~np.isnan(values), axis=-1)[..., None] - 1
    place = np.maximum(last * np.array(QUANTILES), 0.0)
    below = place.astype(np.int64)
    a = np.take_along_axis(ranked, below, axis=-1).astype(np.float64)
    b = np.take_along_axis(ranked, np.minimum(below + 1, np.maximum(last, 0)), axis=-1)
    found: NDArray[np.float64] = a + (b - a) * (place - below)
    return found


def _reach(panel: Panel) -> NDArray[np.float64]:
    high = np.fmax.reduceat(panel.values, panel.offsets[:-1])
    low = np.fmin.reduceat(panel.values, panel.offsets[:-1])
    own = high - low
    size = np.nan_to_num(np.maximum(np.abs(high), np.abs(low)))
    shared = np.nanmedian(np.where(own > 0, own, np.nan), axis=0)
    shared = np.where(np.isnan(shared), 0.1 * size.max(axis=0), shared)
    return np.vstack([np.where(own > 0, own, shared), shared])
