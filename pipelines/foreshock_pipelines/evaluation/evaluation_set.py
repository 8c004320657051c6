"""Held-out rows with anomalies that are known: labelled ones where there are some, injected ones elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock_models.detectors import Detector, Ensemble
from foreshock_models.errors import NotEnoughData
from foreshock_models.injection import InjectedPanel, inject
from foreshock_models.panel import Panel
from foreshock_pipelines.datasets.labels import Intervals, label_rows

__all__ = ["EvaluationSet", "Replicate", "build_evaluation_set", "split_time"]

MIN_ROWS = 200
"""Rows per entity that an evaluation needs, or its result is chance."""
MIN_ANOMALIES = 60
"""Injected anomalies that an evaluation set has at least, by injecting into the same rows again, in up to
`MAX_REPLICATES` replicates. With few anomalies, chance moves the average precision by as much as settings do."""
MAX_REPLICATES = 60
CONTEXT_ROWS = 2000
"""Rows of each entity that are kept before the held-out ones: more than any detector looks back by default."""


@dataclass(frozen=True)
class Replicate:
    """Rows; ``label``, ``weight`` ``(n_rows,)``: which of them are anomalous, and how much each counts."""

    panel: Panel
    label: NDArray[np.bool_]
    weight: NDArray[np.float64]


@dataclass(frozen=True)
class EvaluationSet:
    """Rows with known anomalies, held out from ``since`` on (ms since the epoch); rows before it are context.

    ``basis``: ``labels``, ``injected`` or both. Where anomalies are injected there may be several replicates: the
    same rows with other anomalies in them.
    """

    replicates: tuple[Replicate, ...]
    since: int
    basis: str

    def average_precision(self, detector: Detector) -> float:
        """Return the average precision (area under precision over recall, 0 to 1) of live, calibrated scores."""
        return self.average_precision_of(self.scores(detector))

    def average_precision_of(
        self, scores: Sequence[NDArray[np.float64]], keep: NDArray[np.bool_] | None = None
    ) -> float:
        """Return the average precision of scores of the held-out rows of each replicate.

        `keep`: which of these rows, joined, count; default all.
        """
        from sklearn.metrics import average_precision_score

        weight = self._held_out([replicate.weight for replicate in self.replicates])
        if keep is not None:
            weight = np.where(keep, weight, 0.0)
        return float(average_precision_score(self.numbers >= 0, np.concatenate(scores), sample_weight=weight))

    def scores(self, detector: Detector) -> list[NDArray[np.float64]]:
        """Return the live, calibrated scores of the held-out rows of each replicate."""
        return [detector.score(rows, since=self.since).score for rows in self._rows(detector.context)]

    def raw_scores(self, detector: Detector) -> list[NDArray[np.float64]]:
        """Return the raw scores of the held-out rows of each replicate."""
        return [
            detector.decision_function(rows)[rows.timestamps >= self.since] for rows in self._rows(detector.context)
        ]

    def ensemble_scores(
        self, ensemble: Ensemble, raw: Mapping[str, Sequence[NDArray[np.float64]]]
    ) -> list[NDArray[np.float64]]:
        """Return the calibrated scores of an ensemble, from the `raw_scores` of its members.

        Another combination of the same members costs little.
        """
        rows = self._rows(ensemble.context)
        return [
            ensemble.score_raw({n: raw[n][k] for n in ensemble.members_}, rows[k], since=self.since)
            for k in range(len(rows))
        ]

    @property
    def base_rate(self) -> float:
        """The average precision of random scores: the share of what is anomalous."""
        weight = self._held_out([replicate.weight for replicate in self.replicates])
        return float(weight[self.numbers >= 0].sum() / weight.sum())

    @property
    def n_anomalies(self) -> int:
        """Runs of anomalous rows in all replicates."""
        return int(self.numbers.max()) + 1

    @cached_property
    def numbers(self) -> NDArray[np.int64]:
        """The number of the anomaly that each held-out row is part of, from 0 on over all replicates, or -1."""
        label = self._held_out([replicate.label for replicate in self.replicates])
        times = self._held_out([replicate.panel.timestamps for replicate in self.replicates])
        begins = label & (np.diff(label, prepend=False) | (np.diff(times, prepend=times[0]) < 0))
        return np.where(label, np.cumsum(begins) - 1, -1)

    def _rows(self, context: int) -> list[Panel]:
        """The held-out rows of each replicate, with so many steps before them."""
        first = self.since - context * self.replicates[0].panel.step * 1000
        return [r.panel.take(r.panel.timestamps >= first) for r in self.replicates]

    def _held_out(self, columns: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """The held-out rows of one column per replicate, joined."""
        masks = [replicate.panel.timestamps >= self.since for replicate in self.replicates]
        return np.concatenate([column[rows] for column, rows in zip(columns, masks, strict=True)])


def build_evaluation_set(
    panel: Panel, since: int, *, labels: Intervals | None = None, inject_beside: bool = False, seed: int = 0
) -> EvaluationSet:
    """Build an evaluation set on the rows of `panel` from `since` on, ms since the epoch.

    Labelled anomalies are the positives where one lies in these rows; else anomalies are injected there.

    Parameters
    ----------
    inject_beside
        Inject anomalies beside labelled ones, too: the few that people confirm in some days say little alone.

    Raises
    ------
    NotEnoughData
        There are too few rows.
    """
    held_out = panel.timestamps >= since
    most = int(np.bincount(panel.codes[held_out]).max()) if held_out.any() else 0
    if most < MIN_ROWS:
        raise NotEnoughData(
            f"{most} rows per entity are too few to evaluate detectors on: {MIN_ROWS} are needed; "
            "take a longer history or a smaller step"
        )
    rows = panel.take(panel.timestamps >= since - CONTEXT_ROWS * panel.step * 1000)
    held_out = rows.timestamps >= since
    known = label_rows(rows, labels, must=False) & held_out if labels else np.zeros(rows.n_rows, np.bool_)
    if known.any() and not inject_beside:
        return EvaluationSet((Replicate(rows, known, np.ones(rows.n_rows)),), since, "labels")
    replicates: list[Replicate] = []
    n_anomalies = 0
    while n_anomalies < MIN_ANOMALIES and len(replicates) < MAX_REPLICATES:
        injected = inject(rows.take(held_out), seed=seed + 1000 * len(replicates))
        replicates.append(_replicate(rows, held_out, injected, known))
        n_anomalies += len(injected.anomalies)
    return EvaluationSet(tuple(replicates), since, "labels and injected" if known.any() else "injected")


def _replicate(
    rows: Panel, held_out: NDArray[np.bool_], injected: InjectedPanel, known: NDArray[np.bool_]
) -> Replicate:
    """All rows, the held-out ones with injected anomalies beside the labelled ones."""
    values = rows.values.copy()
    values[held_out] = injected.panel.values
    label = np.zeros(rows.n_rows, np.bool_)
    label[held_out] = injected.label
    label |= known
    weight = np.ones(rows.n_rows)
    weight[held_out] = injected.weight
    changed = Panel(values, rows.offsets, rows.entities, rows.features, rows.timestamps, rows.step)
    return Replicate(changed, label, weight)


def split_time(panel: Panel, share: float) -> int:
    """Return the time, on the grid, at which `share` of the panel's time range is over, ms since the epoch."""
    first, last = int(panel.timestamps.min()), int(panel.timestamps.max())
    size = round(panel.step * 1000)
    return first + round((last - first) * share / size) * size
