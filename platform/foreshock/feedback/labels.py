"""Known anomalies of a job: those in its file of labels, and the alerts that people confirmed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from foreshock.feedback.training_data import confirmed_anomalies
from foreshock.store.store import Store
from foreshock_pipelines.jobfile import Job

if TYPE_CHECKING:
    from foreshock_pipelines.datasets.labels import Intervals

__all__ = ["known_anomalies"]


def known_anomalies(store: Store, job: Job, file: Path | None = None) -> Intervals:
    """Return intervals by entity; `file` in place of the job's own."""
    from foreshock_pipelines.datasets.labels import read_labels

    path = file or job.labels
    found = {entity: list(spans) for entity, spans in (read_labels(path, job.entity) if path else {}).items()}
    for entity, spans in confirmed_anomalies(store, job.name).items():
        found.setdefault(entity, []).extend(spans)
    return found
