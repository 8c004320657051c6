"""The pipeline behind train and tune: read, choose settings, fit, compare, publish, promote."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from foreshock_models.panel import Panel
from foreshock_pipelines.datasets.labels import Intervals
from foreshock_pipelines.evaluation.evaluation_set import split_time
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.progress import ReportLine, StepProgress, ignore_line
from foreshock_pipelines.promotion.comparison import HELD_OUT_SHARE, Comparison, compare, continue_calibration
from foreshock_pipelines.promotion.policy import PromotionPolicy
from foreshock_pipelines.registry import CHALLENGER, CHAMPION, Model, Registry
from foreshock_pipelines.training.exclusions import Exclusion, exclude_rows, exclusions_of
from foreshock_pipelines.training.fit import FitResult, fit
from foreshock_pipelines.training.history import read_history, usable_entities
from foreshock_pipelines.training.manifest import training_manifest

__all__ = ["ChooseSettings", "Params", "Settings", "TrainedModel", "TrainingData", "train_model"]

KEEP = 10
"""Versions that stay in the registry, besides those with an alias."""
Params = Mapping[str, Mapping[str, Any]]
"""Detector to its parameters."""


@dataclass(frozen=True)
class TrainingData:
    """The history of a job.

    Attributes
    ----------
    rows : all rows, the excluded ones emptied; labelled anomalies are there
    held_out_since : from when on rows are held out for the comparison, ms since the epoch; None: nothing is
    learnt : the rows to learn from: before that time, labelled anomalies emptied, entities with enough rows
    skipped : entity to the reason for which it is not learnt from
    queries : feature to its query
    partial : why the source may have left out rows
    """

    start: datetime
    end: datetime
    rows: Panel
    held_out_since: int | None
    learnt: Panel
    skipped: dict[str, str]
    queries: dict[str, str]
    labels: Intervals | None = None
    partial: tuple[str, ...] = ()

    @property
    def before_held_out(self) -> Panel:
        """All rows that are not held out, of entities with enough of them; labelled anomalies are there."""
        if self.held_out_since is None:
            return usable_entities(self.rows)[0]
        return usable_entities(self.rows.take(self.rows.timestamps < self.held_out_since))[0]

    @property
    def empty_features(self) -> tuple[str, ...]:
        """Features without any sample in the rows to learn from."""
        columns = zip(self.learnt.features, self.learnt.values.T, strict=True)
        return tuple(name for name, column in columns if np.isnan(column).all())


@dataclass(frozen=True)
class Settings:
    """Detectors with their parameters; ``tuned``: how they were found, if by a search, for the manifest."""

    detectors: Params
    tuned: Mapping[str, Any] | None = None


ChooseSettings = Callable[[TrainingData], Settings]
"""Chooses what to fit on the data."""


@dataclass(frozen=True)
class TrainedModel:
    """A published model: its data, its fit, and its comparison with the champion, where there was one."""

    model: Model
    data: TrainingData
    fitted: FitResult
    comparison: Comparison | None
    promoted: bool


def train_model(
    job: Job,
    registry: Registry,
    promotion: PromotionPolicy,
    choose_settings: ChooseSettings,
    *,
    start: datetime,
    end: datetime,
    exclude: Sequence[Exclusion] = (),
    labels: Intervals | None = None,
    keep: int = KEEP,
    workers: int | None = None,
    progress: ReportLine = ignore_line,
    steps: StepProgress | None = None,
) -> TrainedModel:
    """Train a model of a job, publish it, and promote it if the policy accepts it.

    Parameters
    ----------
    exclude
        Rows that are neither learnt from nor compared on.
    labels
        Known anomalies: not learnt from, but compared on.
    keep
        Versions that stay in the registry, besides those with an alias.
    """
    data = read_training_data(
        job, start, end, exclude, labels, hold_out=promotion.criterion is not None, progress=progress, steps=steps
    )
    settings = choose_settings(data)
    fitted = fit(
        data.learnt, settings.detectors, job.budget, seed=job.seed, workers=workers or job.workers,
        progress=progress, steps=steps,
    )  # fmt: skip
    comparison = _compare(job, registry, promotion, data, fitted)
    model, promoted = _publish(job, registry, promotion, data, settings, fitted, comparison)
    registry.prune(job.name, keep)
    aliases = ", ".join(model.aliases) or "without an alias"
    progress(
        f"published {job.name} {model.version} as {aliases}" + (f": {comparison.reason}" if comparison else "")
    )
    return TrainedModel(model, data, fitted, comparison, promoted)


def read_training_data(
    job: Job,
    start: datetime,
    end: datetime,
    exclude: Sequence[Exclusion],
    labels: Intervals | None,
    *,
    hold_out: bool,
    progress: ReportLine = ignore_line,
    steps: StepProgress | None = None,
) -> TrainingData:
    """Read the history of a job, and hold its newest rows out where the model is to be compared on them."""
    progress(f"reading {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC")
    windows = read_history(job, start, end, steps, progress=progress)
    rows = exclude_rows(windows.to_panel(), exclude)
    normal = exclude_rows(rows, exclusions_of(labels))
    since = split_time(rows, 1 - HELD_OUT_SHARE) if hold_out else None
    learnt, skipped = usable_entities(normal if since is None else normal.take(normal.timestamps < since))
    progress(
        f"{learnt.n_entities} entities x {learnt.n_rows // learnt.n_entities} rows x {learnt.n_features} features"
    )
    for entity, reason in skipped.items():
        progress(f"skipped {entity}: {reason}")
    return TrainingData(start, end, rows, since, learnt, skipped, windows.queries, labels, windows.partial)


def _compare(
    job: Job, registry: Registry, promotion: PromotionPolicy, data: TrainingData, fitted: FitResult
) -> Comparison | None:
    """Compare with the champion on the held-out rows, and let the new model's calibration see them."""
    if promotion.criterion is None or data.held_out_since is None:
        return None
    comparison = compare(
        job, registry, fitted.detector, promotion.criterion, learnt=data.learnt, rows=data.rows,
        since=data.held_out_since, labels=data.labels,
    )  # fmt: skip
    continue_calibration(fitted.detector, exclude_rows(data.rows, exclusions_of(data.labels)), data.held_out_since)
    return comparison


def _publish(
    job: Job,
    registry: Registry,
    promotion: PromotionPolicy,
    data: TrainingData,
    settings: Settings,
    fitted: FitResult,
    comparison: Comparison | None,
) -> tuple[Model, bool]:
    """Publish a model as the challenger, and promote it if the policy accepts it."""
    manifest = training_manifest(job, data.learnt, data.queries, fitted, settings.detectors, settings.tuned)
    promoted = promotion.accepts(None if comparison is None else comparison.won)
    if comparison is None:
        alias = CHAMPION if promoted else CHALLENGER
        return registry.publish(fitted.detector, job.name, manifest, alias=alias), promoted
    manifest["comparison"] = comparison.as_dict()
    model = registry.publish(fitted.detector, job.name, manifest, alias=CHALLENGER)
    return (registry.promote(job.name, model.version) if promoted else model), promoted
