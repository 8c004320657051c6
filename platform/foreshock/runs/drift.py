"""Watch the inputs of jobs drift away from what their champions learnt, and say when to train again."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import Any

from foreshock.logs import get_logger
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.ray_errors import local_error

__all__ = ["DriftWatch", "measure_on_ray"]

log = get_logger("drift")

EVERY = timedelta(hours=1)
REST = timedelta(days=1)
"""Between a training and the next one that drift asks for: new rows must first come to weigh something."""


class DriftWatch:
    """Measures each job once an hour, one measurement at a time per job.

    Parameters
    ----------
    measure
        Starts a measurement; gives feature to population stability index, later.
    last_training
        When the newest training of a job began, or None.
    """

    def __init__(
        self,
        measure: Callable[[Job], Future[dict[str, float]]],
        last_training: Callable[[str], datetime | None],
    ) -> None:
        self.measure = measure
        self.last_training = last_training
        self.found: dict[str, dict[str, float]] = {}
        """Job to feature to its newest index."""
        self._pending: dict[str, Future[dict[str, float]]] = {}
        self._due: dict[str, datetime] = {}

    def look(self, job: Job, now: datetime) -> str | None:
        """Go on with what is due; gives the reason for a training, if drift asks for one."""
        pending = self._pending.get(job.name)
        if pending is None:
            if now >= self._due.get(job.name, now):
                self._due[job.name] = now + EVERY
                self._pending[job.name] = self.measure(job)
            return None
        if not pending.done():
            return None
        del self._pending[job.name]
        problem = pending.exception()
        if problem is not None:
            log.warning("drift is not known at present", job=job.name, error=str(local_error(problem, "drift")))
            return None
        self.found[job.name] = pending.result()
        return self._reason(job, now)

    def _reason(self, job: Job, now: datetime) -> str | None:
        limit, found = job.schedule.train_on_drift, self.found[job.name]
        if limit is None or not found:
            return None
        feature = max(found, key=lambda name: found[name])
        if found[feature] < limit:
            return None
        last = self.last_training(job.name)
        if last is not None and now - last < REST:
            return None
        return f"drift: {feature} {found[feature]:.2f}, the limit is {limit:g}"


def measure_on_ray(registry: str) -> Callable[[Job], Future[dict[str, float]]]:
    """Measurements as Ray tasks: a day of rows is read."""
    import ray

    task = ray.remote(num_cpus=0, max_retries=1, max_calls=1)(_drift)

    def measure(job: Job) -> Future[dict[str, float]]:
        reference: Any = task.options(name=f"drift {job.name}").remote(job, registry)
        found: Future[dict[str, float]] = reference.future()
        return found

    return measure


def _drift(job: Job, registry: str) -> dict[str, float]:
    from foreshock_pipelines.jobs.drift import drift
    from foreshock_pipelines.registry import Registry

    return drift(job, Registry(registry))
