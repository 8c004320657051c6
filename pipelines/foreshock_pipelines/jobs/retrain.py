"""Retrain: a challenger trained on newer rows takes over from the champion only if it is not worse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from foreshock_pipelines.datasets.labels import Intervals
from foreshock_pipelines.datasets.source import open_source
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.jobs.contest import HELD_OUT, carry_on, contest
from foreshock_pipelines.jobs.exam import split_at
from foreshock_pipelines.jobs.train import (
    Exclusion,
    TrainReport,
    as_exclusions,
    facts,
    fit,
    read_history,
    settings_for,
    train,
    usable,
    without,
)
from foreshock_pipelines.registry import CHALLENGER, Registry

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
    progress: Callable[[str], None] = lambda line: None,
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
        return train(job, registry, end=end, exclude=[*exclude, *as_exclusions(labels)], progress=progress)
    end = end or open_source(job).latest()
    start = end - job.history
    progress(f"reading {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC")
    windows = read_history(job, start, end)
    everything = without(windows.to_panel(), exclude)
    later = split_at(everything, 1 - HELD_OUT)
    normal = without(everything, as_exclusions(labels))
    panel, skipped = usable(normal.take(normal.timestamps < later))
    settings, tuned = settings_for(job, registry, panel, progress)
    fitted = fit(panel, settings, job.budget, seed=job.seed, workers=job.workers, progress=progress)
    verdict = contest(
        job, registry, fitted.detector, everything, later, labels=labels, beside=True, margin=-NOT_WORSE
    )
    carry_on(fitted.detector, normal, later)
    extra = facts(job, panel, windows.queries, fitted, settings, tuned)
    extra["contest"] = verdict.as_dict()
    model = registry.publish(fitted.detector, job.name, extra, alias=CHALLENGER)
    if verdict.won:
        model = registry.promote(job.name, model.version)
    registry.prune(job.name, keep)
    outcome = "is the champion now" if verdict.won else "stays the challenger"
    progress(f"published {job.name} {model.version}, which {outcome}: {verdict.reason}")
    return replace(
        TrainReport(
            job.name, model.version, model.aliases, start, end, panel.n_rows, panel.n_entities, panel.features,
            skipped, (), fitted.detectors,
        ),
        contest=verdict.as_dict(),
    )  # fmt: skip
