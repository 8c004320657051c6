"""The performance of a model on held-out rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foreshock_models.detectors import Detector
from foreshock_models.panel import Panel
from foreshock_models.policy import EntityState
from foreshock_pipelines.datasets.labels import Intervals, label_rows
from foreshock_pipelines.evaluation.evaluation_set import EvaluationSet
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.scoring.alert_policy import alert_policy

__all__ = ["Performance", "false_alerts", "performance", "rows_since"]


@dataclass(frozen=True, slots=True)
class Performance:
    """Average precision of a model on anomalies, and its alerts on rows without any known one."""

    auc_pr: float
    false_alerts: int

    def __str__(self) -> str:
        return f"AUC-PR {self.auc_pr:.3f}, {self.false_alerts} false alerts"


def performance(
    job: Job,
    detector: Detector,
    held_out: EvaluationSet,
    scores: list[NDArray[np.float64]],
    rows: Panel,
    labels: Intervals | None,
) -> Performance:
    """Measure a model by its `scores` on the evaluation set, and by its alerts on the rows as they are."""
    auc_pr = held_out.average_precision_of(scores)
    return Performance(round(auc_pr, 4), false_alerts(job, detector, rows, held_out.since, labels))


def false_alerts(job: Job, detector: Detector, rows: Panel, since: int, labels: Intervals | None) -> int:
    """Count the alerts of a model on `rows` from `since` on, outside of known anomalies."""
    scored = detector.score(rows_since(rows, since, detector), since=since)
    permitted = np.ones(scored.panel.n_rows, np.bool_)
    opened = alert_policy(job).apply(scored.panel, scored.score, permitted).entity_state == EntityState.OPENED
    if labels:
        opened &= ~label_rows(scored.panel, labels, must=False)
    return int(opened.sum())


def rows_since(rows: Panel, since: int, detector: Detector) -> Panel:
    """Return the rows from `since` on, with the context that a detector needs before them."""
    return rows.take(rows.timestamps >= since - detector.context * rows.step * 1000)
