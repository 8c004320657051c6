"""Backtest: replay the past without looking ahead, and report the alerts that would have fired.

At each refit the detectors are fitted on the `history` before it, and score the rows until the next one. The same
policy is applied as to live scores; a second policy can be replayed on the same scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from foreshock_models.errors import ConfigError
from foreshock_models.state import State
from foreshock_pipelines.backtesting.outcome import outcome_of
from foreshock_pipelines.backtesting.replay import ReplayedRows, replay, stretches, timelines
from foreshock_pipelines.backtesting.report import BacktestReport
from foreshock_pipelines.datasets.labels import Intervals, label_rows
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.progress import ReportLine, ignore_line
from foreshock_pipelines.training.fit import fit
from foreshock_pipelines.training.history import read_history, usable_entities

__all__ = ["backtest"]


def backtest(
    job: Job,
    start: datetime,
    end: datetime,
    *,
    refit: timedelta | None = None,
    proposed: Job | None = None,
    labels: Intervals | None = None,
    detectors: Mapping[str, Mapping[str, Any]] | None = None,
    progress: ReportLine = ignore_line,
) -> BacktestReport:
    """Replay the rows from `start` to `end`.

    Parameters
    ----------
    refit
        Time after which the detectors are fitted again; default: once, at the start.
    proposed
        A job file whose budget and alert policy are replayed beside the present ones. Its queries must have the
        same names.
    labels
        Known anomalies that alerts are matched with.

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
    panel = read_history(job, start - job.history, end, progress=progress).to_panel()
    shown = panel.take(panel.timestamps >= start.timestamp() * 1000)
    if labels is not None:
        label_rows(shown, labels)
    parts: dict[str, list[ReplayedRows]] = {name: [] for name in candidates}
    states = {name: State() for name in candidates}
    spans = list(stretches(start, end, refit))
    for number, (first, last) in enumerate(spans, start=1):
        progress(f"fit {number} of {len(spans)}: on what was before {first:%Y-%m-%d %H:%M}")
        since, until = first.timestamp() * 1000, last.timestamp() * 1000
        history = (first - job.history).timestamp() * 1000
        known, _ = usable_entities(panel.take((panel.timestamps >= history) & (panel.timestamps < since)))
        model = fit(known, detectors or job.detector_params, job.budget, seed=job.seed, progress=progress).detector
        context = since - model.context * panel.step * 1000
        rows = panel.take((panel.timestamps >= context) & (panel.timestamps < until))
        for name, found in replay(model, rows, round(since), candidates, states, progress).items():
            parts[name] += found
            states[name] = State.merge([states[name], *(part.policy.state for part in found)])
    outcomes = [outcome_of(name, c, parts[name], shown, start, end, labels) for name, c in candidates.items()]
    return BacktestReport(
        job.name, start, end, panel.step, shown.n_rows, shown.n_entities, len(spans), str(job.budget), outcomes,
        timelines(parts["present"], start, end, panel.step), labels or {},
    )  # fmt: skip
