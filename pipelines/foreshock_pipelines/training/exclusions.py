"""Rows that no model may learn from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from foreshock_models.panel import Panel
from foreshock_pipelines.datasets.labels import Intervals

__all__ = ["Exclusion", "exclude_rows", "exclusions_of"]


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A stretch of time, `start` to `end` in ms since the epoch, of one entity (None: all) that is not learnt from.

    ``where``: selects entities by a predicate, where no name does.
    """

    entity: str | None
    start: int
    end: int
    where: Callable[[str], bool] | None = None

    def covers(self, entity: str) -> bool:
        """Return True if the exclusion applies to this entity."""
        return self.entity in (None, entity) and (self.where is None or self.where(entity))


def exclusions_of(labels: Intervals | None) -> list[Exclusion]:
    """Exclude known anomalies."""
    return [
        Exclusion(entity, round(first.timestamp() * 1000), round(last.timestamp() * 1000))
        for entity, intervals in (labels or {}).items()
        for first, last in intervals
    ]


def exclude_rows(panel: Panel, exclusions: Sequence[Exclusion]) -> Panel:
    """Return the same rows with the values of excluded ones replaced by gaps."""
    if not exclusions:
        return panel
    values = panel.values.copy()
    for exclusion in exclusions:
        for entity, rows in panel:
            if exclusion.covers(entity):
                times = panel.timestamps[rows]
                values[rows][(times >= exclusion.start) & (times <= exclusion.end)] = np.nan
    return Panel(values, panel.offsets, panel.entities, panel.features, panel.timestamps, panel.step)
