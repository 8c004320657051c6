"""Compare a challenger with the champion on held-out rows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from scipy.stats import poisson

from foreshock_models.detectors import Detector
from foreshock_models.panel import Panel
from foreshock_models.policy import Step
from foreshock_pipelines.datasets.labels import Intervals, label_rows
from foreshock_pipelines.evaluation.evaluation_set import EvaluationSet, build_evaluation_set
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.registry import Registry
from foreshock_pipelines.scoring.alert_policy import alert_policy

__all__ = ["HELD_OUT_SHARE", "Comparison", "Performance", "compare", "continue_calibration"]

HELD_OUT_SHARE = 0.15
"""Newest share of the history that a challenger is not fitted on, but compared on."""
TOLERATED_CHANCE = 1 / 40
"""A count of false alerts that chance exceeds more rarely than this is too high."""
SEED = 4711
"""Seed of the planted anomalies: others than those that settings were searched with."""


@dataclass(frozen=True, slots=True)
class Performance:
    """Average precision of a model on anomalies, and its alerts on rows without any known one."""

    auc_pr: float
    false_alerts: int

    def __str__(self) -> str:
        return f"AUC-PR {self.auc_pr:.3f}, {self.false_alerts} false alerts"


@dataclass(frozen=True)
class Comparison:
    """The performance of both models, which of them wins, and why. ``basis``: ``labels``, ``planted`` or both."""

    won: bool
    reason: str
    basis: str
    start: datetime
    end: datetime
    rows: int
    challenger: Performance
    champion: Performance | None = None
    champion_version: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {**asdict(self), "start": self.start.isoformat(), "end": self.end.isoformat()}


def compare(
    job: Job, registry: Registry, challenger: Detector, panel: Panel, since: int, *,
    labels: Intervals | None = None, plant_beside: bool = False, margin: float = 0.0,
) -> Comparison:  # fmt: skip
    """Compare a fitted model with the job's champion on the rows of `panel` from `since` on.

    Both score these rows twice: as they are, where each alert outside of known anomalies is a false one; and with
    anomalies, known or planted ones. The challenger wins if its average precision is at least the champion's plus
    `margin`, and it has no more false alerts than the champion, or than the budget allows, chance aside: at most
    as many as a Poisson count of that mean exceeds with `TOLERATED_CHANCE`. Chance is granted beside the budget,
    not beside the champion, lest the allowance grow from one champion to the next. A champion that has seen these
    rows has learnt from them what is usual, and its alert line, at most: no detector is fitted on the newest
    quarter.

    Parameters
    ----------
    plant_beside
        Plant anomalies beside known ones.
    margin
        Above 0: the challenger must be better; below: it may be a little worse, for any two trainings differ.
    """
    held_out = build_evaluation_set(panel, since, labels=labels, plant_beside=plant_beside, seed=SEED)
    after = _performance(job, challenger, held_out, panel, labels)
    rows = int((panel.timestamps >= since).sum())
    about = (held_out.basis, _time(since), _time(int(panel.timestamps.max())), rows, after)
    version = registry.champion(job.name)
    if version is None:
        return Comparison(True, f"there is no champion yet; {after}", *about)
    champion, model = registry.load(job.name, version)
    if champion.features_in_ != challenger.features_in_:
        return Comparison(True, f"the champion {version} knows other features", *about, champion_version=version)
    before = _performance(job, champion, held_out, panel, labels)
    allowed = max(before.false_alerts, _at_most(_expected(job, panel, since)))
    better = after.auc_pr >= before.auc_pr + margin
    calm = after.false_alerts <= allowed
    reason = f"on {held_out.basis} anomalies: challenger {after}; champion {before}"
    if not better:
        reason += f"; AUC-PR had to be at least {before.auc_pr + margin:.3f}"
    if not calm:
        reason += f"; more than {allowed} false alerts are too many"
    if int(datetime.fromisoformat(model.manifest["training"]["end"]).timestamp() * 1000) > since:
        reason += "; what is usual, and the alert line, the champion has learnt from some of these rows"
    return Comparison(better and calm, reason, *about, champion=before, champion_version=version)


def continue_calibration(detector: Detector, panel: Panel, since: int) -> None:
    """Advance the calibration of a fitted model over the rows from `since` on, as live scoring would."""
    done = detector.score(_from(panel, since, detector), since=since)
    # entities without a row in the meantime keep where they stood
    detector.state_ = detector.state_.merge([detector.state_, done.state])
    detector.calibrator_.state = detector.state_


def _performance(
    job: Job, detector: Detector, held_out: EvaluationSet, panel: Panel, labels: Intervals | None
) -> Performance:
    scored = detector.score(_from(panel, held_out.since, detector), since=held_out.since)
    rows = scored.panel
    policy = alert_policy(job)
    step = policy.apply(rows, scored.score, np.ones(rows.n_rows, np.bool_)).step
    opened = step == Step.OPENED
    if labels:
        opened &= ~label_rows(rows, labels, must=False)
    return Performance(round(held_out.average_precision(detector), 4), int(opened.sum()))


def _expected(job: Job, panel: Panel, since: int) -> float:
    """False alerts that the budget allows for these rows."""
    rows = int((panel.timestamps >= since).sum())
    return job.budget.alerts_per_day * rows * panel.step / 86400


def _at_most(expected: float) -> int:
    """The largest count that is not unlucky where so many are expected."""
    return int(poisson.isf(TOLERATED_CHANCE, expected))


def _from(panel: Panel, since: int, detector: Detector) -> Panel:
    return panel.take(panel.timestamps >= since - detector.context * panel.step * 1000)


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
