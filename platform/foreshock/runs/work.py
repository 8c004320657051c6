"""What a run of each kind does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from foreshock.store import Store
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.registry import Registry

__all__ = ["WORK", "Task", "Work"]


@dataclass(frozen=True)
class Task:
    """What a run works with: its job, the models, the store, and `note`, which takes a line for its log.

    ``by_hand``: somebody asked for it; then what is trained serves at once.
    """

    job: Job
    registry: Registry
    store: Store
    note: Callable[[str], None]
    by_hand: bool = False


Work = Callable[[Task], dict[str, Any]]
"""Does a run; gives its result as JSON values."""


def _train(task: Task) -> dict[str, Any]:
    from foreshock.feedback.labels import known_anomalies
    from foreshock.feedback.service import exclusions
    from foreshock_pipelines.jobs.retrain import retrain
    from foreshock_pipelines.jobs.train import train

    job, store = task.job, task.store
    if task.by_hand:
        return train(job, task.registry, exclude=exclusions(store, job), progress=task.note).as_dict()
    return retrain(
        job, task.registry, labels=known_anomalies(store, job), exclude=exclusions(store, job, confirmed=False),
        progress=task.note,
    ).as_dict()  # fmt: skip


def _tune(task: Task) -> dict[str, Any]:
    from foreshock.feedback.labels import known_anomalies
    from foreshock.feedback.service import exclusions
    from foreshock.settings import load_settings
    from foreshock_pipelines.jobs.tune import tune

    job, store = task.job, task.store
    return tune(
        job, task.registry, labels=known_anomalies(store, job), strict=False,
        exclude=exclusions(store, job, confirmed=False),
        time=job.auto.time if job.auto else None, promote=True, storage=load_settings().home / "tune",
        progress=task.note,
    ).as_dict()  # fmt: skip


def _forecast(task: Task) -> dict[str, Any]:
    from foreshock.forecasts.service import run

    return run(task)


WORK: dict[str, Work] = {
    "train": _train,
    "tune": _tune,
    "forecast": _forecast,
}
"""Kind of run to what does it; the imports of each are its own, for some load torch."""
