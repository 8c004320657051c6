"""Bring up everything: Ray, the HTTP API, the alert actor, the scoring loops."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foreshock.schedule.conductor import Plan, Replay, start_conductor
from foreshock.serving.application import serve_application, set_serve_mode
from foreshock.settings import Settings
from foreshock_pipelines.jobfile import Job

__all__ = ["Running", "bring_up", "ray_cluster"]

IDLE = {
    # Ray keeps a process for each core, with all that its last task loaded, for the next, which is hours away here
    "RAY_num_workers_soft_limit": "1",
    "RAY_idle_worker_killing_time_threshold_ms": "20000",
    # every call of an actor is noted for the dashboard, which does not run: 70 MB an hour where passes come quickly
    "RAY_task_events_report_interval_ms": "0",
    # Ray's own metrics are for the dashboard, too; Serve's proxy keeps its statistics
    "RAY_enable_metrics_collection": "0",
    # ten times a second Ray looks for new log files, whose lines no driver here asks for; a driver that joins this
    # cluster, and does, gets those of a new process up to a minute later
    "RAY_LOG_MONITOR_MANY_FILES_THRESHOLD": "0",
    "LOG_NAME_UPDATE_INTERVAL_S": "60",
}
"""Settings of a Ray that runs for one installation, mostly at rest."""


@dataclass(frozen=True)
class Running:
    """What was brought up: the API's URL and token, and the conductor, if scoring runs."""

    url: str
    token: str
    new_token: bool
    conductor: Any = None


@contextmanager
def ray_cluster(settings: Settings, *, num_cpus: int | None = None) -> Iterator[bool]:
    """A Ray cluster: the one at ``FORESHOCK_RAY_ADDRESS``, else one that lives as long as this block.

    Gives whether it is that one, which nobody else uses.
    """
    import ray

    set_serve_mode(settings)
    for name, value in IDLE.items():
        os.environ.setdefault(name, value)
    # says at each start that Ray's own token authentication is on, which is as it should be
    logging.getLogger("ray._private.authentication.authentication_token_setup").setLevel(logging.ERROR)
    if ray.is_initialized():  # notebooks and tests bring their own
        yield False
        return
    address = settings.ray_address or os.environ.get("RAY_ADDRESS")  # Ray sets the latter inside its jobs
    if address:
        ray.init(address, namespace="foreshock", log_to_driver=False, logging_level=logging.WARNING)
    else:
        ray.init(
            "local",  # not the one that somebody else may have started on this machine
            namespace="foreshock", num_cpus=num_cpus, include_dashboard=False, log_to_driver=False,
            logging_level=logging.WARNING, object_store_memory=500_000_000,
        )  # fmt: skip
    _quiet()
    try:
        yield not address
    finally:
        ray.shutdown()


def bring_up(
    settings: Settings,
    jobs: Mapping[str, Job],
    *,
    files: Mapping[str, Path] | None = None,
    scoring: bool = True,
    replay: Replay | None = None,
    own_cluster: bool = False,
) -> Running:
    """Serve, and score the jobs, on a Ray that runs already; `own_cluster` as `ray_cluster` gives it."""
    conductor = None
    if scoring:  # first: after an outage alerts are waited for more than answers
        plan = Plan(
            jobs, settings.store, settings.registry, settings.url, files or {}, replay, settings.log_level,
            settings.retention, own_cluster,
        )  # fmt: skip
        conductor = start_conductor(plan)
    token, new = serve_application(settings, jobs, files)
    return Running(settings.url, token, new, conductor)


def _quiet() -> None:
    """Ray's own lines of progress: commands show theirs."""
    from ray.data import DataContext

    for name in ("ray.data", "ray.serve"):
        logging.getLogger(name).setLevel(logging.ERROR)
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.verbose_stats_logs = False
    # a read has fewer parts than cores: said once for each read, and meant so
    warnings.filterwarnings("ignore", message="The maximum number of concurrent tasks")
