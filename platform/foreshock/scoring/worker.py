"""Scores one job, pass after pass; may die at any moment, and is started again by Ray."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from foreshock.logs import get_logger, set_up_logging
from foreshock.scoring.latest import Latest
from foreshock.scoring.writing import ScoreWriter, WriteStats
from foreshock.store.store import ScorerState
from foreshock_models.calibration.state import State
from foreshock_models.policy import Policy
from foreshock_pipelines.datasets.source import Source, open_source
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.jobs.score import Scored, score_pass, spans
from foreshock_pipelines.registry import Registry

if TYPE_CHECKING:
    from foreshock.store.store import ScorerState
    from foreshock_models.detectors import Detector

__all__ = ["PassReport", "ScoreWorker", "score_worker"]


@dataclass(frozen=True)
class PassReport:
    """What a pass did.

    Attributes
    ----------
    rows, late : scored rows over all entities, and how many of them lay before the span of the pass
    changes : alerts that changed
    stages : seconds of each: ``fetch``, ``score``, ``explain``, and ``store``, which is the alert actor's part:
        policy, alerts, outbox, where scoring stands
    trained_ms : when the model was made
    write : of the writer, since this worker began; None if scores are not written
    """

    job: str
    version: str | None
    scored_ms: int
    rows: int = 0
    late: int = 0
    changes: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    trained_ms: int | None = None
    write: WriteStats | None = None


class ScoreWorker:
    """Holds the champion of a job and its source.

    Where scoring stands is read from the alert actor before each pass and written by it after, so that a pass
    that died in the middle is repeated, and changes nothing twice.
    """

    def __init__(self, job: Job, registry: str, alerts: Any, log_level: str = "INFO") -> None:
        set_up_logging(log_level)
        self.log = get_logger("score")
        self.registry = Registry(registry)
        self.alerts = alerts
        self.detector: Detector | None = None
        self.version: str | None = None
        self.trained_ms: int | None = None
        self.writer: ScoreWriter | None = None
        self.change_job(job)

    def change_job(self, job: Job) -> None:
        """Go on under a changed job file."""
        self.job = job
        self.source: Source = open_source(job)
        if self.writer is not None and self.writer.config != job.write:
            self.writer.close()
            self.writer = None
        if self.writer is None and job.write is not None:
            self.writer = ScoreWriter(job.write)

    def pid(self) -> int:
        return os.getpid()

    def run(self, now_ms: int, start_ms: int | None = None, job: Job | None = None) -> PassReport:
        """Score what came since the last pass.

        Parameters
        ----------
        start_ms
            Where to begin if this job was never scored; default one step before now.
        job
            As it is in force; default as it was last.
        """
        import ray

        if job is not None and job != self.job:
            self.change_job(job)
        began = time.perf_counter()
        job = self.job
        step_ms = round(job.step_seconds * 1000)
        self._follow_champion()
        if self.detector is None or self.version is None:
            return PassReport(job.name, None, 0)
        until = min(now_ms, round(self.source.latest().timestamp() * 1000))
        known: ScorerState | None = ray.get(self.alerts.scorer.remote(job.name))
        since, state, cursors = self._standing(known, until, start_ms, step_ms)
        report = PassReport(job.name, self.version, since, trained_ms=self.trained_ms)
        stages: dict[str, float] = {}
        beside = job.write is not None and job.write.features
        for span in spans(since, until, job.step_seconds):
            scored, changes = None, None
            while scored is None or changes is None:
                scored = score_pass(
                    self.detector, self.version, self.source, job, span, state, cursors, usual=beside
                )
                stored = time.perf_counter()
                latest = Latest.of(scored, self.detector)
                plain = replace(scored, usual=None, members={})
                revision = known.revision if known else 0
                changes = ray.get(self.alerts.take.remote(job, plain, now_ms, revision, latest))
                if changes is None:  # somebody gave feedback, or forgot an entity, meanwhile
                    known = ray.get(self.alerts.scorer.remote(job.name))
                    _, state, cursors = self._standing(known, until, start_ms, step_ms)
            for stage, seconds in {**scored.seconds, "store": time.perf_counter() - stored}.items():
                stages[stage] = stages.get(stage, 0.0) + seconds
            if self.writer is not None and scored.panel.n_rows:
                self.writer.put(job, scored, self.detector.name)
            state, cursors = scored.state, _moved(cursors, scored)
            report = replace(
                report, scored_ms=span[1], rows=report.rows + scored.panel.n_rows,
                late=report.late + int((scored.panel.timestamps < span[0]).sum()),
                changes=[*report.changes, *changes],
            )  # fmt: skip
        write = self.writer.stats if self.writer is not None else None
        return replace(report, seconds=time.perf_counter() - began, stages=stages, write=write)

    def _standing(
        self, known: ScorerState | None, until: int, start_ms: int | None, step_ms: int
    ) -> tuple[int, State | None, dict[str, int] | None]:
        """From when to score, with which state, and where each entity stands."""
        if known is None:
            return (start_ms if start_ms is not None else until - step_ms), None, None
        since = max(known.scored_ms, until - round(self.job.history.total_seconds() * 1000))
        return since, self._state(known), Policy.last_seen(State.from_bytes(known.policy_state))

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
            self.trained_ms = round(datetime.fromisoformat(model.manifest["created"]).timestamp() * 1000)
            self.log.info("scoring with a new champion", job=self.job.name, version=champion)


def _moved(cursors: dict[str, int] | None, scored: Scored) -> dict[str, int]:
    """Where each entity stands after a pass."""
    panel = scored.panel
    there = ~np.isnan(panel.values).all(axis=1)
    last = np.zeros(panel.n_entities, np.int64)
    np.maximum.at(last, panel.codes[there], panel.timestamps[there])
    return {**(cursors or {}), **{n: int(ms) for n, ms in zip(panel.entities, last, strict=True) if ms}}


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
