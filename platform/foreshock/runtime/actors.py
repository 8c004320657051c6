"""The actors of an installation: their names, and how each is found or made.

Who finds one that runs need not load what it does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from foreshock.configuration.watch import LiveSource
    from foreshock.store.retention import Retention
    from foreshock_pipelines.jobfile import Job

__all__ = [
    "ALERTS",
    "CONTROL_LOOP",
    "NAMESPACE",
    "alert_actor",
    "end_actor",
    "find_actor",
    "score_worker",
    "worker_name",
]

NAMESPACE = "foreshock"
ALERTS = "alerts"
CONTROL_LOOP = "control_loop"


def worker_name(job: str) -> str:
    """Name of the actor that scores a job."""
    return f"score-{job}"


def alert_actor(
    store_url: str,
    url: str,
    jobs: Sequence[Job],
    log_level: str = "INFO",
    keep: Retention | None = None,
    notifications: Path | None = None,
    live: LiveSource | None = None,
) -> Any:
    """The running alert actor, or a new one."""

    def keeper() -> type:
        from foreshock.runtime.alert_actor import AlertActor

        return AlertActor

    return _found_or_made(ALERTS, keeper, store_url, url, list(jobs), log_level, keep, notifications, live)


def score_worker(
    job: Job, registry: str, store_url: str, alerts: Any, log_level: str = "INFO", live: LiveSource | None = None
) -> Any:
    """The running worker of a job, or a new one."""

    def worker() -> type:
        from foreshock.scoring.worker import ScoreWorker

        return ScoreWorker

    return _found_or_made(worker_name(job.name), worker, job, registry, store_url, alerts, log_level, live)


def find_actor(name: str, namespace: str = NAMESPACE) -> Any | None:
    """A running actor, or None."""
    import ray

    try:
        return ray.get_actor(name, namespace=namespace)
    except ValueError:
        return None


def end_actor(name: str, namespace: str = NAMESPACE) -> None:
    """End an actor for good, if it runs."""
    import ray

    actor = find_actor(name, namespace)
    if actor is not None:
        ray.kill(actor, no_restart=True)


def _found_or_made(name: str, load: Callable[[], type], *args: Any) -> Any:
    import ray

    found = find_actor(name)
    if found is not None:
        return found
    return ray.remote(load()).options(
        name=name, namespace=NAMESPACE, lifetime="detached", get_if_exists=True,
        max_restarts=-1, max_task_retries=-1, num_cpus=0,  # what always runs keeps no core from training
    ).remote(*args)  # fmt: skip
