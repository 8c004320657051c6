"""What detectors are judged by: known anomalies where there are some, planted ones elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock_models.detectors import Detector, Ensemble
from foreshock_models.errors import NotEnoughData
from foreshock_models.panel import Panel
from foreshock_models.planting import PlantedPanel, plant
from foreshock_pipelines.datasets.labels import Intervals, label_rows

__all__ = ["Exam", "Paper", "set_exam", "split_at"]

FEWEST_ROWS = 200
"""Rows per entity that an exam needs, or its result is chance."""
ENOUGH = 60
"""Planted anomalies that an exam has at least, by planting into the same rows again, up to `MOST_PAPERS` times.
With a few of them, chance moves a mark by as much as settings do."""
MOST_PAPERS = 60
LOOK_BACK = 2000
"""Rows before those that count that an exam keeps, of each entity: more than any detector looks back by default."""


@dataclass(frozen=True)
class Paper:
    """Rows; ``label``, ``weight`` ``(n_rows,)``: which of them are anomalous, and how much each counts."""

    panel: Panel
    label: NDArray[np.bool_]
    weight: NDArray[np.float64]


@dataclass(frozen=True)
class Exam:
    """Rows with anomalies that are known, ``since`` a time on; rows before it are context.

    ``basis``: ``labels``, ``planted`` or both; where anomalies are planted there may be several papers, the same
    rows with other anomalies in them.
    """

    papers: tuple[Paper, ...]
    since: int
    basis: str

    def mark(self, detector: Detector) -> float:
        """Average precision (area under precision over recall, 0 to 1) of calibrated scores, as if scored live."""
        return self.average_precision(
            [detector.score(rows, since=self.since).score for rows in self._rows(detector.context)]
        )

    def joined(
        self, ensemble: Ensemble, raw: Mapping[str, Sequence[NDArray[np.float64]]]
    ) -> list[NDArray[np.float64]]:
        """Calibrated scores of an ensemble, from what its members' `raw` gave: another one of them is cheap."""
        rows = self._rows(0)
        return [ensemble.score_raw({n: raw[n][k] for n in ensemble.members_}, rows[k]) for k in range(len(rows))]

    def raw(self, detector: Detector) -> list[NDArray[np.float64]]:
        """Raw scores of the rows that count, of each paper."""
        return [
            detector.decision_function(rows)[rows.timestamps >= self.since] for rows in self._rows(detector.context)
        ]

    def _rows(self, context: int) -> list[Panel]:
        """Of each paper, the rows that count and so many steps before them."""
        first = self.since - context * self.papers[0].panel.step * 1000
        return [paper.panel.take(paper.panel.timestamps >= first) for paper in self.papers]

    def average_precision(self, scores: Sequence[NDArray[np.float64]], without: int | None = None) -> float:
        """Of scores of the rows that count, of each paper; `without` the anomaly of this number."""
        from sklearn.metrics import average_precision_score

        weight = self._of_rows([paper.weight for paper in self.papers])
        if without is not None:
            weight = np.where(self._numbers == without, 0.0, weight)
        return float(average_precision_score(self._numbers >= 0, np.concatenate(scores), sample_weight=weight))

    @property
    def chance(self) -> float:
        """Average precision of scores that say nothing: the share of what is anomalous."""
        weight = self._of_rows([paper.weight for paper in self.papers])
        return float(weight[self._numbers >= 0].sum() / weight.sum())

    @property
    def n_anomalies(self) -> int:
        """Stretches of anomalous rows, in all papers."""
        return int(self._numbers.max()) + 1

    @cached_property
    def _numbers(self) -> NDArray[np.int64]:
        """Which anomaly each of the rows that count is part of, in all papers: its number from 0 on, or -1."""
        label = self._of_rows([paper.label for paper in self.papers])
        times = self._of_rows([paper.panel.timestamps for paper in self.papers])
        begins = label & (np.diff(label, prepend=False) | (np.diff(times, prepend=times[0]) < 0))
        return np.where(label, np.cumsum(begins) - 1, -1)

    def _of_rows(self, columns: Sequence[NDArray[Any]]) -> NDArray[Any]:
        counts = [paper.panel.timestamps >= self.since for paper in self.papers]
        return np.concatenate([column[rows] for column, rows in zip(columns, counts, strict=True)])


def set_exam(
    panel: Panel, since: int, *, until: int | None = None, labels: Intervals | None = None, beside: bool = False,
    seed: int = 0,
) -> Exam:  # fmt: skip
    """An exam on the rows of `panel` from `since` to before `until`, ms since the epoch.

    Known anomalies count where one lies in these rows; else anomalies are planted there.

    Parameters
    ----------
    beside
        Plant anomalies beside known ones, too: the few that people confirm in some days say little alone.

    Raises
    ------
    NotEnoughData
        There are too few rows.
    """
    rows = panel if until is None else panel.take(panel.timestamps < until)
    asked = rows.timestamps >= since
    most = int(np.bincount(rows.codes[asked]).max()) if asked.any() else 0
    if most < FEWEST_ROWS:
        raise NotEnoughData(
            f"{most} rows per entity are too few to judge detectors by: {FEWEST_ROWS} are needed; "
            "take a longer history or a smaller step"
        )
    rows = rows.take(rows.timestamps >= since - LOOK_BACK * rows.step * 1000)
    asked = rows.timestamps >= since
    known = label_rows(rows, labels, must=False) & asked if labels else np.zeros(rows.n_rows, np.bool_)
    if known.any() and not beside:
        return Exam((Paper(rows, known, np.ones(rows.n_rows)),), since, "labels")
    papers: list[Paper] = []
    n_anomalies = 0
    while n_anomalies < ENOUGH and len(papers) < MOST_PAPERS:
        planted = plant(rows.take(asked), seed=seed + 1000 * len(papers))
        papers.append(_paper(rows, asked, planted, known))
        n_anomalies += len(planted.anomalies)
    return Exam(tuple(papers), since, "labels and planted" if known.any() else "planted")


def _paper(rows: Panel, asked: NDArray[np.bool_], planted: PlantedPanel, known: NDArray[np.bool_]) -> Paper:
    """All rows, those that are asked for with what was planted in them, beside what is known."""
    values = rows.values.copy()
    values[asked] = planted.panel.values
    label = np.zeros(rows.n_rows, np.bool_)
    label[asked] = planted.label
    label |= known
    weight = np.ones(rows.n_rows)
    weight[asked] = planted.weight
    changed = Panel(values, rows.offsets, rows.entities, rows.features, rows.timestamps, rows.step)
    return Paper(changed, label, weight)


def split_at(panel: Panel, share: float) -> int:
    """The time at which `share` of the panel's time range is over, on its grid, ms since the epoch."""
    first, last = int(panel.timestamps.min()), int(panel.timestamps.max())
    size = round(panel.step * 1000)
    return first + round((last - first) * share / size) * size
