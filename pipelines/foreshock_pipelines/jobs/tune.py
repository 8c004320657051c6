"""Tune: search the settings of each detector, train the best ones, compare the model with the champion, publish it.

The history is split into three parts, in time order: detectors are fitted on the first and evaluated on the second,
the validation split; the settings that are found are trained on both, and the model is compared with the champion
on the third, the held-out rows.
"""

from __future__ import annotations

import time as clock
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from foreshock_models.detectors import Space
from foreshock_models.errors import ConfigError
from foreshock_pipelines.datasets.labels import Intervals, label_rows
from foreshock_pipelines.jobfile import Job, parse_duration
from foreshock_pipelines.progress import ReportLine, ignore_line
from foreshock_pipelines.promotion.policy import COMPARE_ONLY, PromotionPolicy, find_policy
from foreshock_pipelines.registry import Registry
from foreshock_pipelines.sources import open_source
from foreshock_pipelines.training.exclusions import Exclusion
from foreshock_pipelines.training.pipeline import Params, Settings, TrainingData, train_model
from foreshock_pipelines.tuning.report import TuneReport
from foreshock_pipelines.tuning.search import TrialCallback
from foreshock_pipelines.tuning.settings import TunedSettings, initial_settings, ray_runtime, tune_settings
from foreshock_pipelines.tuning.storage import save_time_range, search_folder

__all__ = ["TuneReport", "tune"]


def tune(
    job: Job,
    registry: Registry,
    *,
    promotion: PromotionPolicy | str = COMPARE_ONLY,
    trials: int = 16,
    time: timedelta | str | None = None,
    detectors: Params | None = None,
    labels: Intervals | None = None,
    strict: bool = True,
    space: Mapping[str, Space] | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    exclude: Sequence[Exclusion] = (),
    storage: Path | None = None,
    progress: ReportLine = ignore_line,
    on_trial: TrialCallback = lambda trial: None,
) -> TuneReport:
    """Search settings, train the best, compare the model with the champion, and publish it.

    Parameters
    ----------
    promotion
        When the model becomes the champion: a policy that compares, or its name. By default it is published as
        ``challenger``, and people promote it.
    trials
        Settings to try for each detector.
    time
        Budget of the whole search, as in ``"10m"``; each detector gets its share of what is left.
    detectors
        Name to parameters, in place of the job's own.
    labels
        Known anomalies; the objective, where some lie in the validation split, in place of injected ones.
    strict
        Refuse labels that overlap nothing. A scheduled tuning outlives its labels, and runs without them.
    space
        Detector to what may be tried, in place of its own `search_space`.
    exclude
        Rows that are neither learnt from nor compared on.
    storage
        Folder of checkpoints: the same call resumes an interrupted search. Default: none are kept.

    Raises
    ------
    ConfigError
        Less than one trial, no time, or a promotion policy that compares nothing.
    DataError
        No label overlaps the history, or there is too little of it.
    JobError
        No trial was completed: out of time, or all failed. Nothing is published.
    """
    began = clock.perf_counter()
    policy = find_policy(promotion)
    if policy.criterion is None:
        raise ConfigError(f"the promotion policy {policy.name!r} compares nothing; tune needs one that does")
    seconds = _seconds(time)
    if trials < 1:
        raise ConfigError(f"trials must be at least 1; got {trials}")
    initial = {name: dict(params) for name, params in (detectors or initial_settings(job)).items()}
    select = detectors is None and job.auto is not None
    found: list[TunedSettings] = []
    with ray_runtime(), search_folder(storage, job, initial, trials, labels, space, start) as (folder, saved):
        end = saved.get("end") or end or open_source(job).latest()
        start = saved.get("start") or start or end - job.history
        save_time_range(folder, start, end)

        def choose_settings(data: TrainingData) -> Settings:
            if labels:
                label_rows(data.rows, labels, must=strict)
            tuned = tune_settings(
                job, data.before_held_out, initial, trials=trials, seconds=seconds, labels=labels, space=space,
                select=select, folder=folder, progress=progress, on_trial=on_trial,
            )  # fmt: skip
            found.append(tuned)
            progress(f"training the best setting of {', '.join(tuned.settings)}")
            return Settings(tuned.settings, tuned.manifest(detectors or job.asked))

        trained = train_model(
            job, registry, policy, choose_settings, start=start, end=end, exclude=exclude, labels=labels,
            progress=progress,
        )  # fmt: skip
    assert trained.comparison is not None
    model = trained.model
    return TuneReport(
        job.name, model.version, model.aliases, trained.promoted, start, end, found[0], trained.comparison,
        clock.perf_counter() - began,
    )  # fmt: skip


def _seconds(time: timedelta | str | None) -> float | None:
    if time is None:
        return None
    span = parse_duration(time) if isinstance(time, str) else time
    if span <= timedelta(0):
        raise ConfigError(f"the time budget must be above 0; got {span}")
    return span.total_seconds()
