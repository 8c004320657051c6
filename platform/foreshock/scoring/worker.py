"""Scores one job, pass after pass; may die at any moment, and is started again by Ray."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from foreshock.logs import get_logger, set_up_logging
from foreshock_models.calibration.state import State
from foreshock_pipelines.datasets.source import Source, open_source
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.jobs.score import score_pass, spans
from foreshock_pipelines.registry import Registry

if TYPE_CHECKING:
    from foreshock.store.store import ScorerState
    from foreshock_models.detectors import Detector

__all__ = ["PassReport", "ScoreWorker", "score_worker"]


@dataclass(frozen=True)
class PassReport:
    """What a pass did: rows per entity, alerts that changed, and how long it took.

    ``stages``: seconds of each stage: ``fetch``, ``score``, ``explain``, and ``store``, which is the alert actor's
    part: policy, alerts, outbox, where scoring stands.
    """

    job: str
    version: str | None
    scored_ms: int
    rows: int = 0
    changes: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)


class ScoreWorker:
    """Holds the champion of a job and its source.

    Where scoring stands is read from the alert actor before each pass and written by it after, so that a pass
    that died in the middle is repeated, and changes nothing twice.
    """

    def __init__(self, job: Job, registry: str, alerts: Any, log_level: str = "INFO") -> None:
        set_up_logging(log_level)
        self.log = get_logger("score")
        self.job = job
        self.registry = Registry(registry)
        self.alerts = alerts
        self.source: Source = open_source(job)
        self.detector: Detector | None = None
        self.version: str | None = None

    def change_job(self, job: Job) -> None:
        """Go on under a changed job file."""
        self.job = job
        self.source = open_source(job)

    def pid(self) -> int:
        return os.getpid()

    def run(self, now_ms: int, start_ms: int | None = None) -> PassReport:
        """Score what came since the last pass.

        Parameters
        ----------
        start_ms
            Where to begin if this job was never scored; default one step before now.
        """
        import ray

        began = time.perf_counter()
        job = self.job
        step_ms = round(job.step_seconds * 1000)
        self._follow_champion()
        if self.detector is None or self.version is None:
            return PassReport(job.name, None, 0)
        until = min(now_ms, round(self.source.latest().timestamp() * 1000))
        known = ray.get(self.alerts.scorer.remote(job.name))
        if known is None:
            since, state = (start_ms if start_ms is not None else until - step_ms), None
        else:
            since = max(known.scored_ms, until - round(job.history.total_seconds() * 1000))
            state = self._state(known)
        changes: list[dict[str, Any]] = []
        rows = 0
        last = since
        stages: dict[str, float] = {}
        for span in spans(since, until, job.step_seconds):
            taken = None
            while taken is None:
                scored = score_pass(self.detector, self.version, self.source, job, span, state)
                stored = time.perf_counter()
                taken = ray.get(self.alerts.take.remote(job, scored, now_ms, known.revision if known else 0))
                if taken is None:  # somebody gave feedback, or forgot an entity, meanwhile
                    known = ray.get(self.alerts.scorer.remote(job.name))
                    state = self._state(known)
            changes += taken
            for stage, seconds in {**scored.seconds, "store": time.perf_counter() - stored}.items():
                stages[stage] = stages.get(stage, 0.0) + seconds
            state, last = scored.state, span[1]
            rows += (span[1] - span[0]) // step_ms + 1
        return PassReport(job.name, self.version, last, rows, changes, time.perf_counter() - began, stages)

    def _state(self, known: ScorerState) -> State | None:
        """Where calibration stands.

        That of another version says nothing about this one's raw scores; what people called false alarms holds.
        """
        import ray

        assert self.detector is not None
        if known.version == self.version:
            return State.from_bytes(known.model_state)
        since = known.scored_ms - round(self.job.history.total_seconds() * 1000)
        raised = ray.get(self.alerts.tolerances.remote(self.job.name, since))
        state = self.detector.state_
        for entity, by in raised.items():
            state = self.detector.calibrator_.raise_line(state, entity, by)
        return state

    def _follow_champion(self) -> None:
        champion = self.registry.champion(self.job.name)
        if champion is not None and champion != self.version:
            self.detector, model = self.registry.load(self.job.name, champion)
            self.version = model.version
            self.log.info("scoring with a new champion", job=self.job.name, version=champion)


def score_worker(job: Job, registry: str, alerts: Any, log_level: str = "INFO") -> Any:
    """The running worker of a job, or a new one."""
    import ray

    from foreshock.alerts.actor import NAMESPACE

    remote = ray.remote(ScoreWorker)
    return remote.options(
        name=f"score-{job.name}", namespace=NAMESPACE, lifetime="detached", get_if_exists=True,
        max_restarts=-1, max_task_retries=-1, num_cpus=0.2,
        runtime_env={"env_vars": {"OMP_NUM_THREADS": "1"}},
    ).remote(job, registry, alerts, log_level)  # fmt: skip
