"""Compare a challenger with the champion on held-out rows."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from scipy.stats import poisson

from foreshock_models.calibration.budget import Budget
from foreshock_models.detectors import HOLD_BACK, Detector, Ensemble
from foreshock_models.panel import Panel
from foreshock_pipelines.datasets.labels import Intervals
from foreshock_pipelines.evaluation.evaluation_set import build_evaluation_set
from foreshock_pipelines.evaluation.evaluator import jackknife_error
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.promotion.performance import Performance, performance, rows_since
from foreshock_pipelines.promotion.policy import Criterion
from foreshock_pipelines.registry import Model, Registry

__all__ = ["HELD_OUT_SHARE", "Comparison", "compare", "continue_calibration", "recalibrate_on"]

HELD_OUT_SHARE = 0.15
"""Newest share of the history that a challenger is not fitted on, but compared on."""
TOLERATED_CHANCE = 1 / 40
"""A count of false alerts that chance exceeds more rarely than this is too high."""
SEED = 4711
"""Seed of the injected anomalies: others than those that settings were searched with."""


@dataclass(frozen=True)
class Comparison:
    """The performance of both models, whether the challenger won, and why.

    ``basis``: ``labels``, ``injected`` anomalies or both.
    """

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
        """Return JSON values."""
        return {**asdict(self), "start": self.start.isoformat(), "end": self.end.isoformat()}


def compare(
    job: Job,
    registry: Registry,
    challenger: Detector,
    criterion: Criterion,
    *,
    learnt: Panel,
    rows: Panel,
    since: int,
    labels: Intervals | None = None,
) -> Comparison:
    """Compare a fitted model with the job's champion on `rows` from `since` on.

    Both models score these rows twice: as they are, where each alert outside of known anomalies is a false one; and
    with anomalies, labelled or injected ones. The challenger wins if its gain in average precision is at least what
    the criterion requires, and if it has no more false alerts than the champion, or than the budget allows, chance
    aside: at most as many as a Poisson count of that mean exceeds with `TOLERATED_CHANCE`. Chance is granted beside
    the budget, not beside the champion, lest the allowance grow from one champion to the next.

    Both models are calibrated on the same rows, those before `since`. The champion may have been trained on the
    held-out rows, too: with its own calibration, their incidents would be usual to it, and it would be punished or
    rewarded for that.

    Parameters
    ----------
    learnt
        The rows before `since` that the challenger was fitted and calibrated on.
    """
    held_out = build_evaluation_set(
        rows, since, labels=labels, inject_beside=criterion.inject_beside_labels, seed=SEED
    )
    scores = held_out.scores(challenger)
    after = performance(job, challenger, held_out, scores, rows, labels)
    n_rows = int((rows.timestamps >= since).sum())
    about = (held_out.basis, _time(since), _time(int(rows.timestamps.max())), n_rows, after)
    version = registry.champion(job.name)
    if version is None:
        return Comparison(True, f"there is no champion yet; {after}", *about)
    champion, model = registry.load(job.name, version)
    if champion.features_in_ != challenger.features_in_:
        return Comparison(True, f"the champion {version} knows other features", *about, champion_version=version)
    champion = recalibrate_on(champion, learnt, job.budget)
    champion_scores = held_out.scores(champion)
    before = performance(job, champion, held_out, champion_scores, rows, labels)
    error = jackknife_error(held_out, champion_scores, scores)
    required = criterion.required_gain(before.auc_pr, held_out.base_rate, error)
    allowed_alerts = max(before.false_alerts, _upper_limit(_expected_alerts(job, rows, n_rows)))
    better = after.auc_pr - before.auc_pr >= round(required, 4)
    calm = after.false_alerts <= allowed_alerts
    reason = f"on {held_out.basis} anomalies: challenger {after}; champion {before}"
    if not better:
        reason += "; " + _shortfall(before.auc_pr, required)
    if not calm:
        reason += f"; more than {allowed_alerts} false alerts are too many"
    if _fitted_until(model) > since:
        reason += "; the champion was fitted on some of these rows"
    return Comparison(better and calm, reason, *about, champion=before, champion_version=version)


def recalibrate_on(detector: Detector, rows: Panel, budget: Budget) -> Detector:
    """Measure again what is usual to a fitted detector, and its alert line, on other rows; its model stays."""
    if not isinstance(detector, Ensemble):
        return detector.calibrate(rows, budget)
    members = {name: member.calibrate(rows, budget) for name, member in detector.members_.items()}
    return Ensemble(random_state=detector.random_state).join(members, rows, budget)


def continue_calibration(detector: Detector, rows: Panel, since: int) -> None:
    """Advance the calibration of a fitted model over the rows from `since` on, as live scoring would."""
    done = detector.score(rows_since(rows, since, detector), since=since)
    # entities without a row in the meantime keep their state
    detector.state_ = detector.state_.merge([detector.state_, done.state])
    detector.calibrator_.state = detector.state_


def _shortfall(champion: float, required: float) -> str:
    if math.isinf(required):
        return "one known anomaly is too few to call either better"
    return f"AUC-PR had to be at least {champion + required:.3f}"


def _fitted_until(model: Model) -> int:
    """The time up to which a model was fitted, ms since the epoch; it was calibrated on newer rows alone."""
    first, last = (
        datetime.fromisoformat(model.manifest["training"][edge]).timestamp() for edge in ("start", "end")
    )
    return int((last - HOLD_BACK * (last - first)) * 1000)


def _expected_alerts(job: Job, rows: Panel, n_rows: int) -> float:
    """False alerts that the budget allows for so many rows."""
    return job.budget.per_entity(rows.n_entities).alerts_per_day * n_rows * rows.step / 86400


def _upper_limit(expected: float) -> int:
    """The largest count that chance does not make too rare where so many are expected."""
    return int(poisson.isf(TOLERATED_CHANCE, expected))


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
