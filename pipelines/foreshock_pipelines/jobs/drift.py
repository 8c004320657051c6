"""Drift: how far the newest rows are from those that the champion learnt from."""

from __future__ import annotations

from datetime import datetime, timedelta

from foreshock_models.drift import InputDistribution
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.registry import Model, Registry
from foreshock_pipelines.sources import Source, open_source

__all__ = ["LOOK_BACK", "drift", "drift_from"]

LOOK_BACK = timedelta(days=1)
"""A whole day, so that the hours of the day do not look like drift."""


def drift(job: Job, registry: Registry, *, end: datetime | None = None) -> dict[str, float]:
    """Population stability index of each feature over the last day, against what the champion was trained on.

    Empty for a champion that did not keep its inputs.

    Raises
    ------
    RegistryError
        The job has no champion.
    """
    source = open_source(job)
    return drift_from(registry.get(job.name), source, end or source.latest())


def drift_from(model: Model, source: Source, end: datetime) -> dict[str, float]:
    """As `drift`, for a model at hand."""
    inputs = model.manifest.get("inputs")
    if not inputs:
        return {}
    return InputDistribution.from_dict(inputs).psi(source.read(end - LOOK_BACK, end).to_panel())
