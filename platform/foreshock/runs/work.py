"""The work of a run, by kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from foreshock.store import Store
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.promotion.policy import IF_BETTER, IF_NOT_WORSE, PromotionPolicy
from foreshock_pipelines.registry import Registry

__all__ = ["WORK", "Task", "Work"]


@dataclass(frozen=True)
class Task:
    """The context of a run: its job, the models, the store, and `note`, which takes a line for its log.

    ``promotion``: when the model that is trained becomes the champion; None: as the schedule has it.
    """

    job: Job
    registry: Registry
    store: Store
    note: Callable[[str], None]
    promotion: PromotionPolicy | None = None


Work = Callable[[Task], dict[str, Any]]
"""Does a run; gives its result as JSON values."""


def _train(task: Task) -> dict[str, Any]:
    from foreshock.feedback.labels import known_anomalies
    from foreshock.feedback.training_data import exclusions
    from foreshock_pipelines.jobs.train import train

    job, store = task.job, task.store
    return train(
        job, task.registry, promotion=task.promotion or IF_NOT_WORSE, labels=known_anomalies(store, job),
        exclude=exclusions(store, job, confirmed=False), progress=task.note,
    ).as_dict()  # fmt: skip


def _tune(task: Task) -> dict[str, Any]:
    from foreshock.feedback.labels import known_anomalies
    from foreshock.feedback.training_data import exclusions
    from foreshock.settings import load_settings
    from foreshock_pipelines.jobs.tune import tune

    job, store = task.job, task.store
    return tune(
        job, task.registry, labels=known_anomalies(store, job), strict=False,
        exclude=exclusions(store, job, confirmed=False),
        time=job.auto.time if job.auto else None, promotion=task.promotion or IF_BETTER,
        storage=load_settings().home / "tune", progress=task.note,
    ).as_dict()  # fmt: skip


def _forecast(task: Task) -> dict[str, Any]:
    from foreshock.forecasts.service import run_forecast

    return run_forecast(task.job, task.store, task.note)


WORK: dict[str, Work] = {
    "train": _train,
    "tune": _tune,
    "forecast": _forecast,
}
"""Kind of run to what does it; the imports of each are its own, for some load torch."""
