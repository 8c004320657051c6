"""Replay rows of the past: score them under each policy, the entities in parallel where Ray runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock_models.calibration.budget import Budget
from foreshock_models.detectors import Detector
from foreshock_models.panel import Panel
from foreshock_models.policy import PolicyResult
from foreshock_models.state import State
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.progress import ReportLine
from foreshock_pipelines.ray_errors import ray_errors
from foreshock_pipelines.scoring.alert_policy import alert_policy
from foreshock_pipelines.scoring.causes import Causes
from foreshock_pipelines.scoring.rows import score_under

__all__ = ["ReplayedRows", "replay", "stretches", "timelines"]

GROUPS = 8
"""Groups of entities, one Ray task each."""


@dataclass(frozen=True)
class ReplayedRows:
    """A stretch of some entities under one policy: scores, and the state of the policy after each row."""

    panel: Panel
    score: NDArray[np.float64]
    policy: PolicyResult
    causes: Causes


def stretches(start: datetime, end: datetime, refit: timedelta | None) -> Iterator[tuple[datetime, datetime]]:
    """Yield the stretches from each fit to the next; the last one includes the end."""
    if refit is None:
        yield start, end + timedelta(milliseconds=1)
        return
    at = start
    while at < end:
        following = at + refit
        yield at, following if following < end else end + timedelta(milliseconds=1)
        at = following


def replay(
    model: Detector,
    rows: Panel,
    since: int,
    candidates: Mapping[str, Job],
    states: Mapping[str, State],
    progress: ReportLine,
) -> dict[str, list[ReplayedRows]]:
    """Score a stretch under every candidate policy, the entities in parallel where Ray runs."""
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
            found.append(_replay_entities(model, *some))
            progress(f"scored {len(found)} of {len(work)} groups of entities")
    return {name: [part[name] for part in found if name in part] for name in candidates}


def _replay_on_ray(model: Detector, work: Sequence[Any], progress: ReportLine) -> list[dict[str, ReplayedRows]]:
    """Run one task per group; Ray repeats a task whose worker died."""
    import ray

    task = ray.remote(num_cpus=0.5, max_retries=3)(_replay_entities)
    shared = ray.put(model)
    tasks = [task.options(name="replay").remote(shared, *some) for some in work]
    waiting = tasks
    try:
        while waiting:
            _, waiting = ray.wait(waiting, num_returns=1)
            progress(f"scored {len(work) - len(waiting)} of {len(work)} groups of entities")
        with ray_errors("the replay"):
            return ray.get(tasks)
    finally:  # an error, or Ctrl-C: leave no work behind
        for other in waiting:
            ray.cancel(other, force=True)


def _replay_entities(
    model: Detector, rows: Panel, since: int, candidates: Mapping[str, Job], states: Mapping[str, State]
) -> dict[str, ReplayedRows]:
    if not (rows.timestamps >= since).any():
        return {}
    found: dict[str, ReplayedRows] = {}
    budgets: dict[Budget, list[str]] = {}
    for name, job in candidates.items():
        budgets.setdefault(job.budget, []).append(name)
    for budget, names in budgets.items():
        model.recalibrate(budget)
        policies = [alert_policy(candidates[name]) for name in names]
        for name, policy, scored in zip(
            names, policies, score_under(model, "", rows, policies, since=since), strict=True
        ):
            result = policy.apply(scored.panel, scored.score, scored.permitted, states[name])
            found[name] = ReplayedRows(scored.panel, scored.score, result, scored.causes)
    return found


def timelines(
    parts: Sequence[ReplayedRows], start: datetime, end: datetime, step: float
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
