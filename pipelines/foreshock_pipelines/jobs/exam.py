"""What detectors are judged by: known anomalies where there are some, planted ones elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foreshock_models.detectors import Detector
from foreshock_models.errors import NotEnoughData
from foreshock_models.panel import Panel
from foreshock_models.planting import plant
from foreshock_pipelines.datasets.labels import Intervals, label_rows

__all__ = ["Exam", "set_exam", "split_at"]

FEWEST_ROWS = 200
"""Rows per entity that an exam needs, or its result is chance."""


@dataclass(frozen=True)
class Exam:
    """Rows with anomalies that are known, ``since`` a time on; rows before it are context.

    ``label``, ``weight`` ``(n_rows,)``: which rows are anomalous, and how much each row counts.
    ``basis``: ``labels`` or ``planted``.
    """

    panel: Panel
    since: int
    label: NDArray[np.bool_]
    weight: NDArray[np.float64]
    basis: str

    def mark(self, detector: Detector) -> float:
        """Average precision (area under precision over recall, 0 to 1) of calibrated scores, as if scored live."""
        rows, label, weight = self._within(detector.context)
        return _average_precision(label, detector.score(rows, since=self.since).score, weight)

    def mark_raw(self, detector: Detector) -> float:
        """The same of raw scores, for a detector that is not calibrated yet."""
        rows, label, weight = self._within(detector.context)
        raw = detector._decision(rows)[rows.timestamps >= self.since]
        return _average_precision(label, raw, weight)

    def _within(self, context: int) -> tuple[Panel, NDArray[np.bool_], NDArray[np.float64]]:
        """The rows with as much context as is needed; label and weight of those that count."""
        counts = self.panel.timestamps >= self.since
        first = self.since - context * self.panel.step * 1000
        return self.panel.take(self.panel.timestamps >= first), self.label[counts], self.weight[counts]


def set_exam(
    panel: Panel, since: int, *, until: int | None = None, labels: Intervals | None = None, seed: int = 0
) -> Exam:
    """An exam on the rows of `panel` from `since` to before `until`, ms since the epoch.

    Known anomalies count where one lies in these rows; else anomalies are planted there.

    Raises
    ------
    NotEnoughData
        There are too few rows.
    """
    rows = panel if until is None else panel.take(panel.timestamps < until)
    asked = rows.timestamps >= since
    fewest = int(np.bincount(rows.codes[asked], minlength=1).max()) if asked.any() else 0
    if fewest < FEWEST_ROWS:
        raise NotEnoughData(
            f"{fewest} rows per entity are too few to judge detectors by: {FEWEST_ROWS} are needed; "
            "take a longer history or a smaller step"
        )
    if labels:
        known = label_rows(rows, labels, must=False) & asked
        if known.any():
            return Exam(rows, since, known, np.ones(rows.n_rows), "labels")
    planted = plant(rows.take(asked), seed=seed)
    values = rows.values.copy()
    values[asked] = planted.panel.values
    label = np.zeros(rows.n_rows, np.bool_)
    label[asked] = planted.label
    weight = np.ones(rows.n_rows)
    weight[asked] = planted.weight
    changed = Panel(values, rows.offsets, rows.entities, rows.features, rows.timestamps, rows.step)
    return Exam(changed, since, label, weight, "planted")


def split_at(panel: Panel, share: float) -> int:
    """The time at which `share` of the panel's time range is over, on its grid, ms since the epoch."""
    first, last = int(panel.timestamps.min()), int(panel.timestamps.max())
    size = round(panel.step * 1000)
    return first + round((last - first) * share / size) * size


def _average_precision(label: NDArray[np.bool_], score: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(label, score, sample_weight=weight))
