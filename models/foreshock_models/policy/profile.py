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
        days = panel.step * int(np.diff(panel.offsets).max()) / 86400
        hours = _hours(panel) if days >= MIN_DAYS else np.zeros(panel.n_rows, np.int64)
        table = np.full((panel.n_entities + 1, HOURS, len(QUANTILES), panel.n_features), np.nan, np.float32)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="All-NaN (slice|axis) encountered")  # stays NaN: unknown
            for i, (_, rows) in enumerate(panel):
                block, hour = panel.values[rows], hours[rows]
                table[i] = np.nanquantile(block, QUANTILES, axis=0)
                if days >= MIN_DAYS:
                    for h in range(HOURS):
                        here = block[hour == h]
                        if len(here):
                            found = np.nanquantile(here, QUANTILES, axis=0)
                            table[i, h] = np.where(np.isnan(found), table[i, h], found)
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


def _reach(panel: Panel) -> NDArray[np.float64]:
    blocks = [panel.values[rows] for _, rows in panel]
    own = np.stack([np.nanmax(block, axis=0) - np.nanmin(block, axis=0) for block in blocks])
    size = np.nan_to_num(np.stack([np.nanmax(np.abs(block), axis=0) for block in blocks]))
    shared = np.nanmedian(np.where(own > 0, own, np.nan), axis=0)
    shared = np.where(np.isnan(shared), 0.1 * size.max(axis=0), shared)
    return np.vstack([np.where(own > 0, own, shared), shared])
