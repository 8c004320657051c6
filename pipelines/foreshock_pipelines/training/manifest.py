"""The part of a model's manifest that describes its job and its training."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from foreshock_models.drift import InputDistribution
from foreshock_models.panel import Panel
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.training.fit import FitResult

__all__ = ["fingerprint", "training_manifest"]


def training_manifest(
    job: Job,
    panel: Panel,
    queries: Mapping[str, str],
    fitted: FitResult,
    settings: Mapping[str, Mapping[str, Any]],
    tuned: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Describe the job, the rows and the settings that a model was trained with.

    Parameters
    ----------
    tuned
        How the settings were found, if by a search.
    """
    start, end = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (panel.timestamps.min(), panel.timestamps.max()))
    return {
        **({} if tuned is None else {"tuned": dict(tuned)}),
        "job": job.name,
        "step": panel.step,
        "entity": list(job.entity),
        "queries": dict(queries),
        "settings": {name: dict(params) for name, params in settings.items()},
        "training": {
            "start": start.isoformat(),
            "end": end.isoformat(),
            "rows": panel.n_rows,
            "entities": panel.n_entities,
            "fingerprint": fingerprint(panel),
        },
        "budget": str(job.budget),
        "inputs": InputDistribution.fit(panel).as_dict(),
        "metrics": fitted.detectors,
    }


def fingerprint(panel: Panel) -> str:
    """Hash the rows: two models with the same fingerprint were trained on the same data."""
    digest = hashlib.sha256()
    for part in (panel.values, panel.timestamps, panel.offsets):
        digest.update(np.ascontiguousarray(part).data)
    digest.update("\0".join((*panel.entities, *panel.features)).encode())
    return digest.hexdigest()
