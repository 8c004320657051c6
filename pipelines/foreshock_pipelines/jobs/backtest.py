"""Backtest: replay the past without looking ahead, and say which alerts would have fired.

At each refit the detectors are fitted on the `history` before it, and score what comes until the next one. Scores
pass through the same policy as live ones; a second policy can be replayed on the same scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from foreshock_models.calibration.budget import Budget
from foreshock_models.detectors import Detector
from foreshock_models.display import frame_html
from foreshock_models.errors import ConfigError, ForeshockError, JobError
from foreshock_models.panel import Panel
from foreshock_models.policy import PolicyResult, Step
from foreshock_models.state import State
from foreshock_pipelines.datasets.labels import Intervals, label_rows
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.scoring.alert_policy import alert_policy
from foreshock_pipelines.scoring.causes import Cause, Causes
from foreshock_pipelines.scoring.rows import score_under
from foreshock_pipelines.training.fit import fit
from foreshock_pipelines.training.history import read_history, usable_entities

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BacktestReport", "Outcome", "ReplayedAlert", "backtest"]

Progress = Callable[[str], None]
GROUPS = 8
"""Parts that the entities are cut into: tasks of Ray."""


@dataclass(frozen=True)
class ReplayedAlert:
    """An alert that would have fired; ``resolved`` is None if it was still open at the end."""

    entity: str
    opened: datetime
    resolved: datetime | None
    score: float
    causes: list[Cause]
    known: bool | None = None
    """Whether a label explains it; None without labels."""


@dataclass(frozen=True)
class Outcome:
    """What one policy would have done; the last three are None without labels.

    ``precision``: share of alerts that a label explains. ``recall``: share of labels that an alert found.
    ``delay``: median from the start of a label to its first alert.
    """

    name: str
    votes: str
    budget: str
    alerts: list[ReplayedAlert]
    per_day: float
    per_entity_week: float
    precision: float | None = None
    recall: float | None = None
    delay: timedelta | None = None

    @property
    def by_entity(self) -> dict[str, list[ReplayedAlert]]:
        found: dict[str, list[ReplayedAlert]] = {}
        for alert in self.alerts:
            found.setdefault(alert.entity, []).append(alert)
        return found


@dataclass(frozen=True, repr=False)
class BacktestReport:
    """What was replayed, and what each policy would have done.

    ``timelines``: entity to its scores under the first policy, one per step of the grid, NaN where it has no row.
    """

    job: str
    start: datetime
    end: datetime
    step: float
    rows: int
    entities: int
    fits: int
    budget: str
    policies: list[Outcome]
    timelines: dict[str, NDArray[np.float64]] = field(repr=False)
    known: Intervals = field(default_factory=dict)

    @property
    def labelled(self) -> bool:
        return bool(self.known)

    def as_dict(self) -> dict[str, Any]:
        """JSON values, without the timelines."""
        return {
            "job": self.job,
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            "rows": self.rows,
            "entities": self.entities,
            "fits": self.fits,
            "policies": [_outcome_json(outcome) for outcome in self.policies],
        }

    def to_pandas(self) -> pd.DataFrame:
        """One row per alert: policy, entity, opened, resolved, peak score, the feature that drove it, known."""
        import pandas as pd

        columns = ["policy", "entity", "opened", "resolved", "peak", "cause", "known"]
        rows = [
            (
                outcome.name,
                alert.entity,
                alert.opened,
                alert.resolved,
                alert.score,
                alert.causes[0].feature if alert.causes else None,
                alert.known,
            )
            for outcome in self.policies
            for alert in outcome.alerts
        ]
        return pd.DataFrame(rows, columns=columns)

    def summary(self) -> pd.DataFrame:
        """One row per policy: how many alerts, and against labels precision, recall and delay in minutes."""
        import pandas as pd

        rows = [
            {
                "policy": outcome.name,
                "for": outcome.votes,
                "budget": outcome.budget,
                "alerts": len(outcome.alerts),
                "per_entity_week": outcome.per_entity_week,
                "precision": outcome.precision,
                "recall": outcome.recall,
                "delay_minutes": None if outcome.delay is None else outcome.delay / timedelta(minutes=1),
            }
            for outcome in self.policies
        ]
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        alerts = ", ".join(f"{len(outcome.alerts)} alerts ({outcome.name})" for outcome in self.policies)
        return (
            f"BacktestReport({self.job!r}: {self.entities} entities, "
            f"{self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC; {alerts})"
        )

    def _repr_html_(self) -> str:
        return frame_html(repr(self), self.summary())


@dataclass(frozen=True)
class _Part:
    """A stretch of some entities under one candidate: scores and where the policy stood at each row."""

    panel: Panel
    score: NDArray[np.float64]
    walk: PolicyResult
    causes: Causes


def backtest(
    job: Job,
    start: datetime,
    end: datetime,
    *,
    refit: timedelta | None = None,
    proposed: Job | None = None,
    labels: Intervals | None = None,
    detectors: Mapping[str, Mapping[str, Any]] | None = None,
    progress: Progress = lambda line: None,
) -> BacktestReport:
    """Replay `start` to `end`.

    Parameters
    ----------
    refit
        Fit anew after so long; default once, at the start.
    proposed
        A job file whose budget and alert policy are replayed beside the present ones. Its queries must have the
        same names.
    labels
        Known anomalies, to judge the alerts by.

    Raises
    ------
    ConfigError
        The proposed job has other features, or the start is not before the end.
    DataError
        There are no rows to learn from before the start, or no label overlaps.
    """
    if start >= end:
        raise ConfigError(f"the start {start:%Y-%m-%d %H:%M} must be before the end {end:%Y-%m-%d %H:%M}")
    candidates = {"present": job} if proposed is None else {"present": job, "proposed": proposed}
    if proposed is not None and proposed.features != job.features:
        raise ConfigError(
            f"the proposed policy is for the queries {', '.join(proposed.features)}; "
            f"the job has {', '.join(job.features)}: only budget, rules and alerts may differ"
        )
    progress(f"reading {start - job.history:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC")
    panel = read_history(job, start - job.history, end).to_panel()
    shown = panel.take(panel.timestamps >= start.timestamp() * 1000)
    if labels is not None:
        label_rows(shown, labels)
    parts: dict[str, list[_Part]] = {name: [] for name in candidates}
    states = {name: State() for name in candidates}
    stretches = list(_stretches(start, end, refit))
    for number, (first, last) in enumerate(stretches, start=1):
        progress(f"fit {number} of {len(stretches)}: on what was before {first:%Y-%m-%d %H:%M}")
        since, until = first.timestamp() * 1000, last.timestamp() * 1000
        history = (first - job.history).timestamp() * 1000
        known, _ = usable_entities(panel.take((panel.timestamps >= history) & (panel.timestamps < since)))
        model = fit(known, detectors or job.detector_params, job.budget, seed=job.seed, progress=progress).detector
        context = since - model.context * panel.step * 1000
        rows = panel.take((panel.timestamps >= context) & (panel.timestamps < until))
        for name, found in _replay(model, rows, round(since), candidates, states, progress).items():
            parts[name] += found
            states[name] = State.merge([states[name], *(part.walk.state for part in found)])
    outcomes = [_outcome(name, c, parts[name], shown, start, end, labels) for name, c in candidates.items()]
    return BacktestReport(
        job.name, start, end, panel.step, shown.n_rows, shown.n_entities, len(stretches), str(job.budget), outcomes,
        _timelines(parts["present"], start, end, panel.step), labels or {},
    )  # fmt: skip


def _stretches(start: datetime, end: datetime, refit: timedelta | None) -> Iterator[tuple[datetime, datetime]]:
    """From each fit to the next; the last one holds the end."""
    if refit is None:
        yield start, end + timedelta(milliseconds=1)
        return
    at = start
    while at < end:
        following = at + refit
        yield at, following if following < end else end + timedelta(milliseconds=1)
        at = following


def _replay(
    model: Detector,
    rows: Panel,
    since: int,
    candidates: Mapping[str, Job],
    states: Mapping[str, State],
    progress: Progress,
) -> dict[str, list[_Part]]:
    """Score a stretch under every candidate, the entities in parallel where Ray runs."""
    import ray

    size = math.ceil(rows.n_entities / GROUPS)
    groups = [rows.entities[i : i + size] for i in range(0, rows.n_entities, size)]
    work = [
        (rows.select(names), since, dict(candidates), {n: s.select(names) for n, s in states.items()})
        for names in groups
    ]
    if ray.is_initialized():
        found = _replay_on_ray(model, work, progress)
    else:
        found = []
        for some in work:
            found.append(_replay_some(model, *some))
            progress(f"scored {len(found)} of {len(work)} groups of entities")
    return {name: [part[name] for part in found if name in part] for name in candidates}


def _replay_on_ray(model: Detector, work: Sequence[Any], progress: Progress) -> list[dict[str, _Part]]:
    """One task for each group; one whose worker died is run again."""
    import ray

    task = ray.remote(num_cpus=0.5, max_retries=3)(_replay_some)
    shared = ray.put(model)
    tasks = [task.options(name="replay").remote(shared, *some) for some in work]
    waiting = tasks
    try:
        while waiting:
            _, waiting = ray.wait(waiting, num_returns=1)
            progress(f"scored {len(work) - len(waiting)} of {len(work)} groups of entities")
        return ray.get(tasks)
    except ray.exceptions.RayError as exc:
        for other in waiting:
            ray.cancel(other, force=True)
        cause = getattr(exc, "cause", None)
        if isinstance(cause, ForeshockError):
            raise cause from None
        raise JobError(f"the replay failed: {cause or exc}") from exc


def _replay_some(
    model: Detector, rows: Panel, since: int, candidates: Mapping[str, Job], states: Mapping[str, State]
) -> dict[str, _Part]:
    if not (rows.timestamps >= since).any():
        return {}
    found: dict[str, _Part] = {}
    budgets: dict[Budget, list[str]] = {}
    for name, job in candidates.items():
        budgets.setdefault(job.budget, []).append(name)
    for budget, names in budgets.items():
        model.recalibrate(budget)
        policies = [alert_policy(candidates[name]) for name in names]
        for name, policy, scored in zip(
            names, policies, score_under(model, "", rows, policies, since=since), strict=True
        ):
            walk = policy.apply(scored.panel, scored.score, scored.permitted, states[name])
            found[name] = _Part(scored.panel, scored.score, walk, scored.causes)
    return found


def _outcome(
    name: str,
    job: Job,
    parts: Sequence[_Part],
    shown: Panel,
    start: datetime,
    end: datetime,
    labels: Intervals | None,
) -> Outcome:
    alerts = sorted(_alerts(parts), key=lambda alert: (alert.opened, alert.entity))
    days = (end - start) / timedelta(days=1)
    policy = alert_policy(job)
    outcome = Outcome(
        name, f"{policy.needed} of {policy.of}", str(job.budget), alerts, len(alerts) / days,
        len(alerts) / max(shown.n_entities, 1) / days * 7,
    )  # fmt: skip
    return outcome if labels is None else _judged(outcome, labels, shown, start, end, policy.resolve_after)


def _alerts(parts: Sequence[_Part]) -> Iterator[ReplayedAlert]:
    """Alerts of consecutive stretches, one that goes over a refit being one."""
    open_: dict[str, ReplayedAlert] = {}
    for part in parts:
        for entity, rows in part.panel:
            for row in (np.flatnonzero(part.walk.step[rows] >= Step.OPENED) + rows.start).tolist():
                step, peak = part.walk.step[row], float(part.walk.peak[row])
                at = datetime.fromtimestamp(int(part.panel.timestamps[row]) / 1000, UTC)
                if step == Step.OPENED:
                    causes = part.causes.at(entity, int(part.panel.timestamps[row]))
                    open_[entity] = ReplayedAlert(entity, at, None, peak, causes)
                elif entity in open_:
                    open_[entity] = replace(open_[entity], score=max(open_[entity].score, peak))
                    if step == Step.RESOLVED:
                        yield replace(open_.pop(entity), resolved=at)
    yield from open_.values()


def _judged(
    outcome: Outcome, labels: Intervals, shown: Panel, start: datetime, end: datetime, resolve_after: float
) -> Outcome:
    """The outcome with precision, recall and delay: an alert counts for a label if it is open within it."""
    delays: list[timedelta] = []
    n_labels = 0
    for entity in shown.entities:
        for first, last in labels.get(entity, ()):
            if last < start or first > end:
                continue
            n_labels += 1
            hits = [a.opened for a in outcome.by_entity.get(entity, []) if _meets(a, first, last, end)]
            if hits:
                delays.append(max(min(hits) - first, timedelta(0)))
    alerts = [
        replace(a, known=any(_meets(a, first, last, end) for first, last in labels.get(a.entity, ())))
        for a in outcome.alerts
    ]
    return replace(
        outcome,
        alerts=alerts,
        precision=sum(bool(a.known) for a in alerts) / len(alerts) if alerts else None,
        recall=len(delays) / n_labels if n_labels else None,
        delay=sorted(delays)[len(delays) // 2] if delays else None,
    )


def _meets(alert: ReplayedAlert, first: datetime, last: datetime, end: datetime) -> bool:
    return alert.opened <= last and (alert.resolved or end) >= first


def _timelines(
    parts: Sequence[_Part], start: datetime, end: datetime, step: float
) -> dict[str, NDArray[np.float64]]:
    first = math.ceil(start.timestamp() / step) * step * 1000
    n_rows = int((end.timestamp() * 1000 - first) // (step * 1000)) + 1
    lines: dict[str, NDArray[np.float64]] = {}
    for part in parts:
        for entity, rows in part.panel:
            line = lines.setdefault(entity, np.full(n_rows, np.nan))
            at = ((part.panel.timestamps[rows] - first) // (step * 1000)).astype(np.int64)
            present = ~np.isnan(part.panel.values[rows]).all(axis=1)
            line[at[present]] = part.score[rows][present]
    return dict(sorted(lines.items()))


def _outcome_json(outcome: Outcome) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "name": outcome.name,
        "for": outcome.votes,
        "false_alerts": outcome.budget,
        "alerts_per_day": round(outcome.per_day, 4),
        "alerts_per_entity_and_week": round(outcome.per_entity_week, 4),
        "by_entity": {entity: len(alerts) for entity, alerts in sorted(outcome.by_entity.items())},
        "precision": outcome.precision,
        "recall": outcome.recall,
        "median_delay_seconds": outcome.delay.total_seconds() if outcome.delay is not None else None,
        "alerts": [
            {
                "entity": a.entity,
                "opened": a.opened.isoformat(),
                "resolved": a.resolved.isoformat() if a.resolved else None,
                "score": round(a.score, 4),
                "known": a.known,
                "causes": [asdict(cause) for cause in a.causes],
            }
            for a in outcome.alerts
        ],
    }
