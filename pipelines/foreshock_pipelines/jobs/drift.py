"""Drift: the distance of the newest rows from those that the champion was trained on."""

from __future__ import annotations

from datetime import datetime, timedelta

from foreshock_models.drift import InputDistribution
from foreshock_models.errors import SourceUnavailable
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.registry import Model, Registry
from foreshock_pipelines.sources import Source, open_source

__all__ = ["LOOK_BACK", "drift", "drift_from"]

LOOK_BACK = timedelta(days=1)
"""A whole day, so that the hours of the day do not look like drift."""


def drift(job: Job, registry: Registry, *, end: datetime | None = None) -> dict[str, float]:
    """Return the population stability index of each feature over the last day, against the champion's inputs.

    Empty for a champion whose manifest has no inputs.

    Raises
    ------
    RegistryError
        The job has no champion.
    SourceUnavailable
        The source is down, or its answer is partial.
    """
    source = open_source(job)
    return drift_from(registry.get(job.name), source, end or source.latest())


def drift_from(model: Model, source: Source, end: datetime) -> dict[str, float]:
    """Return the drift from the training rows of a given model."""
    inputs = model.manifest.get("inputs")
    if not inputs:
        return {}
    windows = source.read(end - LOOK_BACK, end)
    if windows.partial:  # what is missing would look like drift
        raise SourceUnavailable(f"partial answer: {windows.partial[0]}; the inputs cannot be compared with it")
    return InputDistribution.from_dict(inputs).psi(windows.to_panel())
