"""Train: read windows, fit each detector, calibrate them together, publish the model as the policy has it.

The command ``foreshock train`` promotes every model; the schedule promotes a model if it is not worse than the
champion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

import numpy as np

from foreshock_models.alert_levels import AlertLevel, alert_levels
from foreshock_models.panel import Panel
from foreshock_pipelines.datasets.labels import Intervals
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.progress import ReportLine, StepProgress, ignore_line
from foreshock_pipelines.promotion.policy import ALWAYS, PromotionPolicy, find_policy
from foreshock_pipelines.registry import Registry
from foreshock_pipelines.scoring.alert_policy import alert_policy
from foreshock_pipelines.sources import open_source
from foreshock_pipelines.training.exclusions import Exclusion
from foreshock_pipelines.training.pipeline import KEEP, Params, Settings, TrainedModel, TrainingData, train_model
from foreshock_pipelines.training.report import TrainReport
from foreshock_pipelines.tuning.settings import select_detectors

__all__ = ["train"]

LATELY = timedelta(hours=1)
"""An entity with a sample in this time before the end of the history is there."""


def train(
    job: Job,
    registry: Registry,
    *,
    promotion: PromotionPolicy | str = ALWAYS,
    start: datetime | None = None,
    end: datetime | None = None,
    detectors: Params | None = None,
    exclude: Sequence[Exclusion] = (),
    labels: Intervals | None = None,
    keep: int = KEEP,
    workers: int | None = None,
    progress: ReportLine = ignore_line,
    steps: StepProgress | None = None,
) -> TrainReport:
    """Train the job's detectors and publish them as one model.

    Parameters
    ----------
    promotion
        When the model becomes the champion: a policy or its name. A policy that compares has the model trained on
        all but the newest rows, and compared with the champion on those. The first model of a job is trained on the
        whole history, and is the champion at once, unless the policy never promotes.
    start, end
        Default: the job's `history`, up to the newest row of its source.
    detectors
        Name to parameters, in place of the job's own.
    exclude
        Rows that are neither learnt from nor compared on.
    labels
        Known anomalies, such as alerts that people confirmed: not learnt from, but compared on.
    keep
        Versions that stay in the registry, besides those with an alias.
    workers
        Processes that train each network together, in place of the job's own number.
    progress, steps
        Called when a stage begins or ends; and as reading, fitting and each network advance.

    Raises
    ------
    NotEnoughData
        No entity has enough rows.
    JobError
        A detector could not be fitted; says which and why.
    ConfigError
        No promotion policy has that name.
    """
    policy = find_policy(promotion)
    if policy.promotes and registry.champion(job.name) is None:
        policy = ALWAYS  # there is nothing to compare with: no row is held out
    end = end or open_source(job).latest()
    start = start or end - job.history

    def choose_settings(data: TrainingData) -> Settings:
        if detectors is not None:
            return Settings(detectors)
        return settings_in_force(job, registry, data.learnt, progress)

    trained = train_model(
        job, registry, policy, choose_settings, start=start, end=end, exclude=exclude, labels=labels, keep=keep,
        workers=workers, progress=progress, steps=steps,
    )  # fmt: skip
    data, model = trained.data, trained.model
    levels = levels_now(job, trained)
    for level in levels:
        progress(str(level))
    return TrainReport(
        job.name, model.version, model.aliases, start, end, data.learnt.n_rows, data.learnt.n_entities,
        data.learnt.features, data.skipped, data.empty_features, trained.fitted.detectors,
        trained.comparison.as_dict() if trained.comparison else None, data.partial,
        [asdict(stretch) for stretch in trained.fitted.distrusted], [asdict(level) for level in levels],
    )  # fmt: skip


def levels_now(job: Job, trained: TrainedModel) -> list[AlertLevel]:
    """Return from which value each feature would alert now, on the first entity that still has samples."""
    rows = trained.data.learnt
    filled = ~np.isnan(rows.values).all(axis=1)
    latest = max(int(rows.timestamps[filled].max()) - round(LATELY.total_seconds() * 1000), 0)
    alive = np.unique(rows.codes[filled & (rows.timestamps >= latest)])
    policy = alert_policy(job)
    return alert_levels(trained.fitted.detector, rows, rows.entities[alive[0]], policy, policy.rules)


def settings_in_force(job: Job, registry: Registry, panel: Panel, progress: ReportLine = ignore_line) -> Settings:
    """Return the detectors and parameters to train with.

    Tuned settings of the champion stay in force for as long as the job file asks for the same detectors. For
    ``detectors: auto`` of a job without them, a search on `panel` selects some.
    """
    if registry.champion(job.name) is not None:
        manifest = registry.get(job.name).manifest
        tuned = manifest.get("tuned")
        if tuned is not None and tuned["asked"] == job.asked:
            return Settings(dict(manifest["settings"]), tuned)
    if job.auto is None:
        return Settings(job.detector_params)
    selected = select_detectors(job, panel, progress=progress)
    return Settings(selected.settings, selected.manifest(job.asked))
