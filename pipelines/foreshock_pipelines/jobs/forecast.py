"""Forecast: each feature of each entity, in Ray tasks where Ray runs."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from foreshock_models.errors import DataError, NotEnoughData
from foreshock_models.forecasters import Event, TimeToExhaustion, find, make, time_to_exhaustion
from foreshock_models.forecasters._grid import Limits
from foreshock_models.panel import Panel
from foreshock_pipelines.datasets.windows import Windows
from foreshock_pipelines.forecasting.capacity import alert_probabilities
from foreshock_pipelines.forecasting.report import COLUMNS, ForecastReport
from foreshock_pipelines.jobfile import Job, format_duration
from foreshock_pipelines.progress import PartProgress
from foreshock_pipelines.ray_errors import ray_errors

if TYPE_CHECKING:
    import ray

__all__ = ["forecast_windows"]

LOOKAHEAD = 4
"""A forecast looks this many times `within` of an exhaustion ahead: it can say "in 31 h" of a line at 24 h."""
TASKS_PER_CPU = 4
ABSENT_STEPS = 10
"""Steps without a sample after which a series counts as absent, where the job file does not say."""


def forecast_windows(
    windows: Windows,
    job: Job,
    horizon: timedelta,
    method: str = "auto",
    on_progress: PartProgress | None = None,
    *,
    level: float = 0.8,
) -> ForecastReport:
    """Forecast every feature of every entity, in Ray tasks where Ray runs, else in this process.

    Parameters
    ----------
    windows
        The history; the forecast begins where it ends.
    horizon
        How far ahead. Features with ``exhaustion:`` are looked at further ahead, for `capacity`.
    method
        ``seasonal_naive``, ``arima``, ``prophet`` or ``auto``.
    on_progress
        Called with the series that are done and all series.

    Raises
    ------
    ConfigError
        No such method.
    NotEnoughData
        No series can be forecast; says why of the first.
    DataError
        A horizon that is longer than the history.
    JobError
        A task failed.
    """
    import ray

    began = time.perf_counter()
    find(method)
    if horizon <= timedelta(0):
        raise DataError(f"the horizon must be longer than 0; got {horizon}")
    panel = windows.to_panel()
    span = timedelta(seconds=panel.step * float(np.diff(panel.offsets).max()))
    if horizon > span:
        raise DataError(f"a horizon of {horizon} is longer than the history of {span}; ask for less, or read more")
    parallel = ray.is_initialized()
    cpus = int(ray.available_resources().get("CPU", 1)) if parallel else 1
    newest, absent = last_samples(panel, job)
    tasks = list(_tasks(panel, job, horizon, method, level, cpus, absent))
    total = panel.n_entities * panel.n_features
    results = _on_ray(tasks) if parallel else ((i, _forecast(task)) for i, task in enumerate(tasks))
    done: dict[int, _Result] = {}
    count = len(absent)
    for i, result in results:
        done[i] = result
        count += tasks[i].panel.n_entities
        if on_progress:
            on_progress(count, total)
    ordered = [done[i] for i in range(len(tasks))]
    skipped = {**absent, **{key: reason for result in ordered for key, reason in result.skipped.items()}}
    frames = [result.frame for result in ordered if result.frame is not None]
    if not frames:
        (entity, feature), reason = next(iter(skipped.items()))
        raise NotEnoughData(f"nothing to forecast: {feature} of {entity}: {reason}")
    frame = pd.concat(frames, ignore_index=True)
    frame = frame.sort_values(["entity", "feature", "timestamp"], kind="stable", ignore_index=True)
    exhaustion = tuple(t for result in ordered for t in result.exhaustion)
    return ForecastReport(
        job.name, frame[list(COLUMNS)], level, horizon, datetime.now(UTC), exhaustion, skipped,
        time.perf_counter() - began, alert_probabilities(job), newest, windows.partial,
    )  # fmt: skip


def last_samples(panel: Panel, job: Job) -> tuple[dict[tuple[str, str], float], dict[tuple[str, str], str]]:
    """Entity and feature to the last sample; and of those that are absent at the end of the rows, to the reason.

    A series without a sample in the last ``absent_after`` of the job is absent: nobody needs to know when the disk
    of a host that is gone would be full.
    """
    limit = max(job.alerts.absent_after or ABSENT_STEPS * job.step, 2 * job.step)
    end = int(panel.timestamps.max())
    newest: dict[tuple[str, str], float] = {}
    absent: dict[tuple[str, str], str] = {}
    for i, entity in enumerate(panel.entities):
        rows = slice(panel.offsets[i], panel.offsets[i + 1])
        for j, feature in enumerate(panel.features):
            there = np.flatnonzero(~np.isnan(panel.values[rows, j]))
            if len(there) == 0:
                absent[entity, feature] = "no sample in the history"
                continue
            newest[entity, feature] = float(panel.values[rows, j][there[-1]])
            seen = int(panel.timestamps[rows][there[-1]])
            if end - seen > limit.total_seconds() * 1000:
                absent[entity, feature] = (
                    f"no sample in the last {format_duration(limit)}, the newest is of "
                    f"{datetime.fromtimestamp(seen / 1000, UTC):%Y-%m-%d %H:%M} UTC"
                )
    return newest, absent


# -- tasks ---------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Task:
    """One feature of some entities."""

    panel: Panel
    method: str
    params: dict[str, Any]
    horizon: timedelta
    level: float
    limit: float | None
    direction: Literal["up", "down"]
    within: timedelta | None


@dataclass(frozen=True)
class _Result:
    frame: pd.DataFrame | None
    exhaustion: list[TimeToExhaustion]
    skipped: dict[tuple[str, str], str]


def _tasks(
    panel: Panel,
    job: Job,
    horizon: timedelta,
    method: str,
    level: float,
    cpus: int,
    absent: Mapping[tuple[str, str], str],
) -> Iterator[_Task]:
    """Features times groups of entities: enough for every core, and few, since each looks for orders once."""
    groups = min(panel.n_entities, max(1, math.ceil(TASKS_PER_CPU * cpus / panel.n_features)))
    for j, feature in enumerate(panel.features):
        query = job.queries.get(feature)
        limits: Limits = (query.valid_range if query else None) or (None, None)
        rule = query.exhaustion if query else None
        params: dict[str, Any] = {"limits": limits, "horizon": horizon, "random_state": job.seed}
        if method in ("auto", "prophet"):
            params["holidays"] = job.holidays
            params["events"] = [Event(event.name, event.start, event.end) for event in job.events]
        present = [entity for entity in panel.entities if (entity, feature) not in absent]
        for entities in np.array_split(np.array(present, dtype=object), min(groups, max(1, len(present)))):
            if len(entities) == 0:
                continue
            part = panel if len(entities) == panel.n_entities else panel.select([str(name) for name in entities])
            column = np.ascontiguousarray(part.values[:, [j]])
            yield _Task(
                Panel(column, part.offsets, part.entities, (feature,), part.timestamps, part.step),
                method,
                params,
                horizon,
                level,
                query.exhausted_at if query else None,
                "down" if query and query.direction == "down" else "up",
                rule.within if rule else None,
            )


def _forecast(task: _Task) -> _Result:
    """Fit and forecast one feature of some entities."""
    forecaster = make(task.method, **task.params)
    (feature,) = task.panel.features
    try:
        forecaster.fit(task.panel)
    except NotEnoughData as exc:  # of these entities; others may have enough
        skipped = getattr(forecaster, "skipped_", {})
        return _Result(None, [], {(e, feature): skipped.get((e, feature), str(exc)) for e in task.panel.entities})
    forecast = forecaster.predict(task.horizon, levels=(task.level,))
    frame = forecast.to_pandas()
    exhaustion: list[TimeToExhaustion] = []
    if task.limit is not None and task.within is not None:
        rows = max(series.n_rows for series in forecaster.series_.values())
        longest = timedelta(seconds=rows / 2 * forecaster.grid_)
        look = max(task.horizon, min(LOOKAHEAD * task.within, longest))
        far = forecaster.predict(look, levels=(task.level,))
        within = min(task.within, timedelta(seconds=far.horizon * far.step))
        exhaustion = time_to_exhaustion(far, task.limit, task.level, direction=task.direction, within=within)
    return _Result(frame, exhaustion, forecast.skipped)


def _on_ray(tasks: list[_Task]) -> Iterator[tuple[int, _Result]]:
    """Results as they come."""
    import ray

    remote = ray.remote(num_cpus=1)(_forecast)
    pending: dict[ray.ObjectRef[_Result], int] = {remote.remote(task): i for i, task in enumerate(tasks)}
    try:
        while pending:
            ready, _ = ray.wait(list(pending), num_returns=1)
            i = pending.pop(ready[0])
            with ray_errors(f"forecasting {tasks[i].panel.features[0]}"):
                result = ray.get(ready[0])
            yield i, result
    finally:
        for ref in pending:  # an error, or Ctrl-C: leave no work behind
            ray.cancel(ref, force=True)
