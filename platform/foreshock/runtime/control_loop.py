"""The control loop: an actor that starts scoring passes and runs when they are due, and that Ray restarts."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from foreshock.clock import Clock, ReplayClock, SystemClock
from foreshock.configuration.model import in_force
from foreshock.configuration.watch import LiveSource
from foreshock.logs import Condition, describe_error, get_logger, note_restart, set_up_logging
from foreshock.runs.drift import DriftWatch, measure_on_ray
from foreshock.runs.execution import launch
from foreshock.runs.model import Run
from foreshock.runs.repository import RunRepository
from foreshock.runs.scheduler import Scheduler
from foreshock.runtime.actors import (
    ALERTS,
    CONTROL_LOOP,
    NAMESPACE,
    alert_actor,
    end_actor,
    score_worker,
    worker_name,
)
from foreshock.runtime.job_files import JobFiles
from foreshock.runtime.metrics import ControlLoopMetrics
from foreshock.scoring.report import PassReport
from foreshock.settings import LiveSettings
from foreshock.store.retention import Retention
from foreshock.store.scope import Scope, within
from foreshock.store.store import open_patiently, store_condition
from foreshock_models.errors import SourceError, StoreError
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.ray_errors import local_error
from foreshock_pipelines.registry import Registry

__all__ = ["ControlLoop", "Plan", "Replay", "start_control_loop"]

TICK = 0.5
PASS_LIMIT = 600.0
TIDY_EVERY = 60.0
LEFT_BY_RAY_DATA = (
    ("datasets_stats_actor", "_dataset_stats_actor"),
    ("AutoscalingCoordinator", "AutoscalingCoordinator"),
)
"""Name and namespace of what a read starts and nothing ends: two processes, for one read in a day."""


@dataclass(frozen=True)
class Replay:
    """Play a stretch of the past quickly: `every` seconds of it in each pass, at most `speed` times as fast."""

    start: datetime
    end: datetime
    every: float
    speed: float | None = None


@dataclass(frozen=True)
class Plan:
    """The parts of an installation.

    ``files``: job name to the file that it was read from, to be read again when it changes; ``own_cluster``: nobody
    else uses the Ray that it runs on.
    """

    jobs: Mapping[str, Job]
    store_url: str
    registry: str
    url: str = ""
    files: Mapping[str, Path] = field(default_factory=dict)
    replay: Replay | None = None
    log_level: str = "INFO"
    keep: Retention = field(default_factory=Retention)
    own_cluster: bool = False
    notifications: Path | None = None
    live: LiveSource | None = None


class ControlLoop:
    """Holds no state of its own: schedules served are in the store, scoring goes on from the store."""

    def __init__(self, plan: Plan) -> None:
        set_up_logging(plan.log_level)
        self.log = get_logger("control_loop")
        note_restart(self.log)
        self.plan = plan
        self.jobs = dict(plan.jobs)
        self.clock: Clock = SystemClock()
        if plan.replay is not None:
            self.clock = ReplayClock(plan.replay.start, plan.replay.end, plan.replay.speed)
        self.store = open_patiently(plan.store_url)
        self.registry = Registry(plan.registry)
        self.measured = ControlLoopMetrics()
        for name in self.jobs:
            self.measured.watch(name)
        self.files = JobFiles(plan.files, self.registry, self.measured.reloaded)
        self.alerts = alert_actor(
            plan.store_url,
            plan.url,
            list(self.jobs.values()),
            plan.log_level,
            plan.keep,
            plan.notifications,
            plan.live,
        )
        self.scheduler = Scheduler(
            RunRepository(self.store),
            self._launch,
            self.clock,
            lambda job: self.registry.champion(job.name) is None,
        )
        self.detecting = True
        self.workers: dict[str, Any] = {}
        self.passes: dict[str, tuple[Any, float]] = {}
        self.due: dict[str, float] = {}
        self.reports: dict[str, PassReport] = {}
        self.problems: dict[str, str] = {}
        self.drift = DriftWatch(measure_on_ray(plan.registry), self._last_training)
        self._tidied = time.monotonic()
        if plan.live is not None:
            self.change(in_force({}, plan.live.pinned))
            plan.live.watch("control loop", self.change, self.store)
        self._thread = threading.Thread(target=self._loop, name="control_loop", daemon=True)
        self._thread.start()

    # -- asked from outside ----------------------------------------------------------------------------
    def status(self) -> dict[str, Any]:
        """State of the installation, and its problems."""
        return {
            "now": self.clock.now().isoformat(),
            "replaying": isinstance(self.clock, ReplayClock) and not self.clock.done,
            "jobs": {
                name: {
                    "model": self.registry.champion(name),
                    "scored": self.reports[name].scored_ms if name in self.reports else None,
                    "pass_seconds": self.reports[name].seconds if name in self.reports else None,
                    "problem": self.problems.get(name),
                    "policy": policy_json(job),
                    "file": str(self.plan.files[name]) if name in self.plan.files else None,
                    "refused": self.files.refused.get(name),
                }
                for name, job in list(self.jobs.items())
            },
            "tenants": {name: job.tenant for name, job in list(self.jobs.items())},
        }

    def start_run(self, job: str, kind: str, cause: str) -> str | None:
        """Start a run now; None if one of its kind is active already."""
        now = self.clock.now()
        with within(Scope(self.jobs[job].tenant)):
            run = self.scheduler.runs.begin(job, kind, now, now=now, cause=cause)
        if run is None:
            return None
        self._launch(run)
        return run.id

    def change(self, live: LiveSettings) -> None:
        """Take up settings that were changed."""
        self.detecting = live.anomaly_detection
        hours = live.retrain_interval_hours
        self.scheduler.retrain_every = None if hours is None else timedelta(hours=hours)

    def job(self, name: str) -> Job | None:
        """A job as it is in force."""
        return self.jobs.get(name)

    def metrics(self) -> str:
        """Metrics of the control loop, in Prometheus' text format."""
        return self.measured.exposition(self.clock.now())

    def pid(self) -> int:
        return os.getpid()

    # -- the loop --------------------------------------------------------------------------------------
    def _loop(self) -> None:
        away = store_condition(self.log)
        failing = Condition(self.log, "the control loop fails; trying again", "the control loop goes on")
        while True:
            try:
                if away.present:
                    self.store.check()
                self._reload()
                if self.plan.replay is None:
                    self.scheduler.tick(self.jobs.values())
                for job in list(self.jobs.values()):
                    self._score(job)
                    if self.plan.replay is None:
                        self._look_for_drift(job)
                self._end_leftover_actors()
            except StoreError as exc:
                away.raised(str(exc))
                time.sleep(TICK)
            except Exception as exc:  # the loop must outlive everything; what went wrong is logged
                failing.raised(describe_error(exc))
                time.sleep(TICK)
            else:
                away.cleared()
                failing.cleared()
            self._wait()

    def _wait(self) -> None:
        replaying = isinstance(self.clock, ReplayClock) and not self.clock.done
        if not replaying:
            time.sleep(TICK)
        elif self.plan.replay is not None and not self.problems and all(map(self.registry.champion, self.jobs)):
            self.clock.sleep(self.plan.replay.every)
        else:
            time.sleep(TICK)

    def _look_for_drift(self, job: Job) -> None:
        if job.name not in self.reports or self.registry.champion(job.name) is None:
            return  # at a start, scoring comes first
        reason = self.drift.look(job, self.clock.now())
        self.measured.drifted(job.name, self.drift.found.get(job.name, {}))
        if reason is not None and self.start_run(job.name, "train", reason) is not None:
            self.log.info("training because the inputs drifted", job=job.name, reason=reason)

    def _end_leftover_actors(self) -> None:
        """End what reads have left behind, while no run may need it."""
        if not self.plan.own_cluster or time.monotonic() < self._tidied + TIDY_EVERY:
            return
        self._tidied = time.monotonic()
        if not self.scheduler.runs.active():
            for name, namespace in LEFT_BY_RAY_DATA:
                end_actor(name, namespace)

    def _last_training(self, job: str) -> datetime | None:
        last = self.scheduler.runs.recent(job=job, kind="train", limit=1)
        return last[0].started or last[0].due if last else None

    def _score(self, job: Job) -> None:
        """Collect the pass that is under way, and start the next one when it is due."""
        import ray

        now = self.clock.now()
        replaying = isinstance(self.clock, ReplayClock)
        if job.name in self.passes:
            reference, began = self.passes[job.name]
            done, _ = ray.wait([reference], timeout=PASS_LIMIT if replaying else 0)
            if not done:
                if time.monotonic() - began > PASS_LIMIT:
                    self._failed(job.name, f"a scoring pass has taken longer than {PASS_LIMIT:g} s")
                return
            del self.passes[job.name]
            self._collect(job.name, done[0])
        if now.timestamp() < self.due.get(job.name, 0.0) or self.registry.champion(job.name) is None:
            return
        if not self.detecting:
            return
        if job.name not in self.workers:
            self.workers[job.name] = score_worker(
                job,
                self.plan.registry,
                self.plan.store_url,
                self.alerts,
                self.plan.log_level,
                self.plan.live,
            )
        start = round(self.plan.replay.start.timestamp() * 1000) if self.plan.replay else None
        worker = self.workers[job.name]
        # with the job, so that a worker that was started again does not go on under its first one
        reference = worker.run.remote(round(now.timestamp() * 1000), start, job)
        self.passes[job.name] = reference, time.monotonic()
        self.due[job.name] = (now.timestamp() // job.score_every + 1) * job.score_every
        if replaying:
            del self.passes[job.name]
            self._collect(job.name, reference)

    def _collect(self, job: str, reference: Any) -> None:
        import ray

        try:
            self.reports[job] = ray.get(reference)
            self.measured.passed(self.reports[job])
            if self.problems.pop(job, None):
                self.log.warning("scoring again", job=job)
        except ray.exceptions.RayError as exc:
            error = local_error(exc, "a scoring pass")
            self.measured.failed(job, source=isinstance(error, SourceError))
            self._failed(job, describe_error(error))

    def _failed(self, job: str, problem: str) -> None:
        if self.problems.get(job) != problem:
            self.log.warning("scoring failed; the gap is scored later", job=job, error=problem)
        self.problems[job] = problem

    def _launch(self, run: Run) -> None:
        launch(run, self.jobs[run.job], self.plan.store_url, self.plan.registry)

    def _reload(self) -> None:
        """Take up changed job files; an invalid one leaves the old one in force."""
        for job in self.files.changed(self.jobs):
            self.jobs[job.name] = job
            self.alerts.watch.remote(job)


def start_control_loop(plan: Plan) -> Any:
    """Start the control loop; one that runs already is replaced.

    The processes that it needs are asked for here, not one by the other: each takes seconds to come up.
    """
    import ray

    for name in [CONTROL_LOOP, ALERTS, *map(worker_name, plan.jobs)]:
        end_actor(name)
    jobs = list(plan.jobs.values())
    alerts = alert_actor(plan.store_url, plan.url, jobs, plan.log_level, plan.keep, plan.notifications, plan.live)
    for job in jobs:
        if Registry(plan.registry).champion(job.name) is not None:
            score_worker(job, plan.registry, plan.store_url, alerts, plan.log_level, plan.live)
    remote = ray.remote(ControlLoop)
    return remote.options(
        name=CONTROL_LOOP, namespace=NAMESPACE, lifetime="detached", max_restarts=-1, max_concurrency=4, num_cpus=0
    ).remote(plan)


def policy_json(job: Job) -> dict[str, Any]:
    """The policy of a job that is in force, as its file would say it."""
    rules = {
        name: query.model_dump(mode="json", include={"direction", "min_deviation", "valid_range"})
        for name, query in job.queries.items()
    }
    return {"alerts": job.alerts.model_dump(mode="json", by_alias=True), "queries": rules}
