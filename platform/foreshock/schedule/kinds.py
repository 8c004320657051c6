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
    """What a run works with: its job, the models, the store, and `note`, which takes a line for its log."""

    job: Job
    registry: Registry
    store: Store
    note: Callable[[str], None]


Work = Callable[[Task], dict[str, Any]]
"""Does a run; gives its result as JSON values."""


def _train(task: Task) -> dict[str, Any]:
    from foreshock.alerts.feedback import exclusions
    from foreshock_pipelines.jobs.train import train

    exclude = exclusions(task.store, task.job)
    return train(task.job, task.registry, exclude=exclude, progress=task.note).as_dict()


WORK: dict[str, Work] = {
    "train": _train,
}
"""Kind of run to what does it; the imports of each are its own, for some load torch."""
