"""Tune: search the settings of each detector, train the best ones, compare the model with the champion, publish it.

The history is split into three parts, in time order: detectors are fitted on the first and evaluated on the second;
the settings that they find are trained on both, and compared with the champion on the third, the held-out rows.
"""

from __future__ import annotations

import time as clock
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from foreshock_models.detectors import Space
from foreshock_models.errors import ConfigError
from foreshock_pipelines.datasets.labels import Intervals, label_rows
from foreshock_pipelines.evaluation.evaluation_set import split_time
from foreshock_pipelines.jobfile import Job, parse_duration
from foreshock_pipelines.progress import ReportLine, ignore_line
from foreshock_pipelines.promotion.comparison import HELD_OUT_SHARE, compare, continue_calibration
from foreshock_pipelines.registry import CHALLENGER, Registry
from foreshock_pipelines.sources import open_source
from foreshock_pipelines.training.exclusions import Exclusion, exclude_rows, exclusions_of
from foreshock_pipelines.training.fit import fit
from foreshock_pipelines.training.history import read_history, usable_entities
from foreshock_pipelines.training.manifest import training_manifest
from foreshock_pipelines.tuning.report import TuneReport
from foreshock_pipelines.tuning.search import TrialCallback
from foreshock_pipelines.tuning.settings import Params, initial_settings, ray_runtime, tune_settings
from foreshock_pipelines.tuning.storage import save_time_range, search_folder

__all__ = ["TuneReport", "tune"]

MIN_GAIN = 0.005
"""Gain in average precision over the champion that a tuned model needs."""


def tune(
    job: Job,
    registry: Registry,
    *,
    trials: int = 16,
    time: timedelta | str | None = None,
    detectors: Params | None = None,
    labels: Intervals | None = None,
    strict: bool = True,
    space: Mapping[str, Space] | None = None,
    promote: bool = False,
    start: datetime | None = None,
    end: datetime | None = None,
    exclude: Sequence[Exclusion] = (),
    storage: Path | None = None,
    progress: ReportLine = ignore_line,
    on_trial: TrialCallback = lambda trial: None,
) -> TuneReport:
    """Search settings, train the best, compare with the champion, and publish as ``challenger``.

    Parameters
    ----------
    trials
        Settings to try for each detector.
    time
        Budget of the whole search, as in ``"10m"``; each detector gets its share of what is left.
    detectors
        Name to parameters, in place of the job's own.
    labels
        Known anomalies; where some lie in the rows that are judged on, they are the objective, else planted ones.
    strict
        Labels that overlap nothing are a mistake. A scheduled tuning outlives its labels, and goes on without.
    space
        Detector to what may be tried, in place of its own `search_space`.
    promote
        Make it the champion if it wins.
    storage
        Folder where searches are kept: the same call goes on where a dead one was. Default: not kept.

    Raises
    ------
    DataError
        No label overlaps the history, or there is too little of it.
    JobError
        No trial came to its end: out of time, or all failed. Nothing is published.
    """
    began = clock.perf_counter()
    seconds = _seconds(time)
    if trials < 1:
        raise ConfigError(f"trials must be at least 1; got {trials}")
    base = {name: dict(params) for name, params in (detectors or initial_settings(job)).items()}
    select = detectors is None and job.auto is not None
    with ray_runtime(), search_folder(storage, job, base, trials, labels, space, start) as (folder, saved):
        end = saved.get("end") or end or open_source(job).latest()
        start = saved.get("start") or start or end - job.history
        save_time_range(folder, start, end)
        progress(f"reading {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC")
        windows = read_history(job, start, end)
        everything = exclude_rows(windows.to_panel(), exclude)
        if labels:
            label_rows(everything, labels, must=strict)
        later = split_time(everything, 1 - HELD_OUT_SHARE)
        known, _ = usable_entities(everything.take(everything.timestamps < later))
        learnt = exclude_rows(known, exclusions_of(labels))
        tuned = tune_settings(
            job, known, base, trials=trials, seconds=seconds, labels=labels, space=space, select=select,
            folder=folder, progress=progress, on_trial=on_trial,
        )  # fmt: skip
        progress(f"training the best setting of {', '.join(tuned.settings)}")
        fitted = fit(learnt, tuned.settings, job.budget, seed=job.seed, progress=progress)
        comparison = compare(job, registry, fitted.detector, everything, later, labels=labels, margin=MIN_GAIN)
        continue_calibration(fitted.detector, exclude_rows(everything, exclusions_of(labels)), later)
        searched = tuned.manifest(detectors or job.asked)
        extra = training_manifest(job, learnt, windows.queries, fitted, tuned.settings, searched)
        extra["comparison"] = comparison.as_dict()
        model = registry.publish(fitted.detector, job.name, extra, alias=CHALLENGER)
    promoted = promote and comparison.won
    if promoted:
        model = registry.promote(job.name, model.version)
    registry.prune(job.name)
    progress(f"published {job.name} {model.version} as {', '.join(model.aliases)}: {comparison.reason}")
    return TuneReport(
        job.name,
        model.version,
        model.aliases,
        promoted,
        start,
        end,
        tuned,
        comparison,
        clock.perf_counter() - began,
    )


def _seconds(time: timedelta | str | None) -> float | None:
    if time is None:
        return None
    span = parse_duration(time) if isinstance(time, str) else time
    if span <= timedelta(0):
        raise ConfigError(f"the time budget must be above 0; got {span}")
    return span.total_seconds()
