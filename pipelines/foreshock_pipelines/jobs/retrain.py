"""Retrain: a challenger trained on newer rows takes over from the champion only if it is not worse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from foreshock_pipelines.datasets.labels import Intervals
from foreshock_pipelines.evaluation.evaluation_set import split_time
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.jobs.train import settings_for, train
from foreshock_pipelines.progress import ReportLine, ignore_line
from foreshock_pipelines.promotion.comparison import HELD_OUT_SHARE, compare, continue_calibration
from foreshock_pipelines.registry import CHALLENGER, Registry
from foreshock_pipelines.sources import open_source
from foreshock_pipelines.training.exclusions import Exclusion, exclude_rows, exclusions_of
from foreshock_pipelines.training.fit import fit
from foreshock_pipelines.training.history import read_history, usable_entities
from foreshock_pipelines.training.manifest import training_manifest
from foreshock_pipelines.training.report import TrainReport

__all__ = ["retrain"]

NOT_WORSE = 0.02
"""Average precision by which two models may differ and still be called equal."""
KEEP = 10


def retrain(
    job: Job,
    registry: Registry,
    *,
    end: datetime | None = None,
    exclude: Sequence[Exclusion] = (),
    labels: Intervals | None = None,
    keep: int = KEEP,
    progress: ReportLine = ignore_line,
) -> TrainReport:
    """Train on all but the newest rows, compare with the champion on those, promote if not worse.

    The newest rows, less those in `exclude` and `labels`, are taken as normal: alerts on them are false. Then
    anomalies are planted there, beside those that are known. Both sides and the reason of the decision are in the
    manifest and in the report. A job without a champion is trained as by `train`, which publishes one at once.

    Parameters
    ----------
    exclude
        Rows that nobody may learn from or be compared by.
    labels
        Known anomalies, such as alerts that people confirmed: not learnt from, but compared by.
    keep
        Versions that stay, besides those with an alias.
    """
    if registry.champion(job.name) is None:
        return train(job, registry, end=end, exclude=[*exclude, *exclusions_of(labels)], progress=progress)
    end = end or open_source(job).latest()
    start = end - job.history
    progress(f"reading {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC")
    windows = read_history(job, start, end)
    everything = exclude_rows(windows.to_panel(), exclude)
    later = split_time(everything, 1 - HELD_OUT_SHARE)
    normal = exclude_rows(everything, exclusions_of(labels))
    panel, skipped = usable_entities(normal.take(normal.timestamps < later))
    settings, tuned = settings_for(job, registry, panel, progress)
    fitted = fit(panel, settings, job.budget, seed=job.seed, workers=job.workers, progress=progress)
    comparison = compare(
        job, registry, fitted.detector, everything, later, labels=labels, plant_beside=True, margin=-NOT_WORSE
    )
    continue_calibration(fitted.detector, normal, later)
    extra = training_manifest(job, panel, windows.queries, fitted, settings, tuned)
    extra["comparison"] = comparison.as_dict()
    model = registry.publish(fitted.detector, job.name, extra, alias=CHALLENGER)
    if comparison.won:
        model = registry.promote(job.name, model.version)
    registry.prune(job.name, keep)
    outcome = "is the champion now" if comparison.won else "stays the challenger"
    progress(f"published {job.name} {model.version}, which {outcome}: {comparison.reason}")
    return replace(
        TrainReport(
            job.name, model.version, model.aliases, start, end, panel.n_rows, panel.n_entities, panel.features,
            skipped, (), fitted.detectors,
        ),
        comparison=comparison.as_dict(),
    )  # fmt: skip
