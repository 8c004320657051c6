"""What a run of each kind does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from foreshock.store import Store
from foreshock_pipelines.datasets.labels import Intervals
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.registry import Registry

__all__ = ["WORK", "Task", "Work"]


@dataclass(frozen=True)
class Task:
    """What a run works with: its job, the models, the store, and `note`, which takes a line for its log."""

    job: Job
    registry: Registry
    store: Store
    note: Callable[[str], None]


Work = Callable[[Task], dict[str, Any]]
"""Does a run; gives its result as JSON values."""


def _train(task: Task) -> dict[str, Any]:
    from foreshock.alerts.feedback import exclusions
    from foreshock_pipelines.jobs.retrain import retrain

    job, exclude = task.job, exclusions(task.store, task.job)
    return retrain(job, task.registry, labels=_labels(job), exclude=exclude, progress=task.note).as_dict()


def _tune(task: Task) -> dict[str, Any]:
    from foreshock.alerts.feedback import exclusions
    from foreshock.settings import load_settings
    from foreshock_pipelines.jobs.tune import tune

    job, auto = task.job, task.job.auto
    return tune(
        job, task.registry, labels=_labels(job), promote=True, time=auto.time if auto else None,
        exclude=exclusions(task.store, job), storage=load_settings().home / "tune", progress=task.note,
    ).as_dict()  # fmt: skip


def _labels(job: Job) -> Intervals | None:
    from foreshock_pipelines.datasets.labels import read_labels

    return read_labels(job.labels, job.entity) if job.labels else None


WORK: dict[str, Work] = {
    "train": _train,
    "tune": _tune,
}
"""Kind of run to what does it; the imports of each are its own, for some load torch."""
