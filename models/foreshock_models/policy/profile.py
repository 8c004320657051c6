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
    """

    entities: tuple[str, ...]
    table: NDArray[np.float32]

    @classmethod
    def fit(cls, panel: Panel) -> Self:
        days = panel.step * int(np.diff(panel.offsets).max()) / 86400
        hours = _hours(panel) if days >= MIN_DAYS else np.zeros(panel.n_rows, np.int64)
        table = np.full((panel.n_entities + 1, HOURS, len(QUANTILES), panel.n_features), np.nan, np.float32)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="All-NaN slice encountered")  # stays NaN: unknown
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
        return cls(panel.entities, table)

    def at(self, panel: Panel) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Lower end, median and upper end for each row, each ``(n_rows, n_features)``; NaN where unknown."""
        known = {name: i for i, name in enumerate(self.entities)}
        entity = np.array([known.get(name, -1) for name in panel.entities])[panel.codes]
        found = self.table[entity, _hours(panel)].astype(np.float64)
        return found[:, 0], found[:, 1], found[:, 2]

    def to_arrays(self) -> tuple[list[str], dict[str, NDArray[np.generic]]]:
        return list(self.entities), {"profile": self.table}

    @classmethod
    def from_arrays(cls, entities: list[str], arrays: dict[str, NDArray[Any]]) -> Self:
        return cls(tuple(entities), arrays["profile"])


def _hours(panel: Panel) -> NDArray[np.int64]:
    hours: NDArray[np.int64] = panel.timestamps // 3_600_000 % HOURS
    return hours
