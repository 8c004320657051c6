"""Train: read windows, fit each detector in a Ray task, calibrate them together, publish."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from foreshock_models.panel import Panel
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.progress import ReportLine, StepProgress, ignore_line
from foreshock_pipelines.registry import CHAMPION, Registry
from foreshock_pipelines.sources import open_source
from foreshock_pipelines.training.exclusions import Exclusion, exclude_rows
from foreshock_pipelines.training.fit import fit
from foreshock_pipelines.training.history import read_history, usable_entities
from foreshock_pipelines.training.manifest import training_manifest
from foreshock_pipelines.training.report import TrainReport
from foreshock_pipelines.tuning.settings import select_detectors

__all__ = ["settings_for", "train"]


def train(
    job: Job,
    registry: Registry,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    detectors: Mapping[str, Mapping[str, Any]] | None = None,
    exclude: Sequence[Exclusion] = (),
    alias: str | None = CHAMPION,
    workers: int | None = None,
    progress: ReportLine = ignore_line,
    steps: StepProgress | None = None,
) -> TrainReport:
    """Train the job's detectors and publish them as one model.

    Parameters
    ----------
    start, end
        Default: the job's `history`, up to the newest row of its source.
    detectors
        Name to parameters, in place of the job's own.
    alias
        What the new version is called at once.
    workers
        Processes that train each network together, in place of the job's own number.
    progress, steps
        Told when a stage begins or ends; how far reading, fitting and each network have come.

    Raises
    ------
    NotEnoughData
        No entity has enough rows.
    JobError
        A detector could not be fitted; says which and why.
    """
    source = open_source(job)
    end = end or source.latest()
    start = start or end - job.history
    progress(f"reading {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC")
    windows = read_history(job, start, end, steps)
    panel, skipped = usable_entities(exclude_rows(windows.to_panel(), exclude))
    progress(f"{panel.n_entities} entities x {panel.n_rows // panel.n_entities} rows x {panel.n_features} features")
    for entity, reason in skipped.items():
        progress(f"skipped {entity}: {reason}")
    settings, tuned = detectors, None
    if settings is None:
        settings, tuned = settings_for(job, registry, panel, progress)
    fitted = fit(
        panel, settings, job.budget, seed=job.seed, workers=workers or job.workers, progress=progress, steps=steps
    )
    empty = tuple(
        name for name, column in zip(panel.features, panel.values.T, strict=True) if np.isnan(column).all()
    )
    extra = training_manifest(job, panel, windows.queries, fitted, settings, tuned)
    model = registry.publish(fitted.detector, job.name, extra, alias=alias)
    registry.prune(job.name)
    progress(f"published {job.name} {model.version}" + (f" as {alias}" if alias else ""))
    return TrainReport(
        job.name, model.version, model.aliases, start, end, panel.n_rows, panel.n_entities, panel.features,
        skipped, empty, fitted.detectors,
    )  # fmt: skip


def settings_for(
    job: Job, registry: Registry, panel: Panel, progress: ReportLine = ignore_line
) -> tuple[Mapping[str, Mapping[str, Any]], dict[str, Any] | None]:
    """Detectors and parameters to train with, and how they were tuned, if they were.

    What was tuned for the champion stays, as long as the job file asks for the same detectors. ``detectors: auto``
    of a job that has none yet is settled on `panel`, by a search.
    """
    if registry.champion(job.name) is not None:
        manifest = registry.get(job.name).manifest
        tuned = manifest.get("tuned")
        if tuned is not None and tuned["asked"] == job.asked:
            return dict(manifest["settings"]), tuned
    if job.auto is None:
        return job.detector_params, None
    selected = select_detectors(job, panel, progress=progress)
    return selected.settings, selected.manifest(job.asked)
