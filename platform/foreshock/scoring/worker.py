"""Scores one job, pass after pass; may die at any moment, and is started again by Ray."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from foreshock.configuration.watch import LiveSource
from foreshock.logs import get_logger, note_restart, set_up_logging
from foreshock.scoring.checkpoint import Checkpoint
from foreshock.scoring.latest import Latest
from foreshock.scoring.remote_write import ScoreWriter, blocks_of
from foreshock.scoring.report import PassReport
from foreshock_models.policy import Policy
from foreshock_models.state import State
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.jobs.score import score_pass, spans
from foreshock_pipelines.registry import Registry
from foreshock_pipelines.scoring.shards import Shards
from foreshock_pipelines.sources import Source, open_source

if TYPE_CHECKING:
    from foreshock_models.detectors import Detector

__all__ = ["ScoreWorker"]


class ScoreWorker:
    """Holds the champion of a job and its source.

    Where scoring stands is read from the alert actor before each stretch of rows, and written by it after, if it
    still stands there: what died in the middle is repeated, and what a worker before this one sent is not.
    """

    def __init__(
        self, job: Job, registry: str, store_url: str, alerts: Any, log_level: str = "INFO",
        live: LiveSource | None = None,
    ) -> None:  # fmt: skip
        set_up_logging(log_level)
        if live is not None:
            live.watch(f"scoring of {job.name}")
        self.log = get_logger("score")
        note_restart(self.log)
        self.registry = Registry(registry)
        self.store_url = store_url
        self.alerts = alerts
        self.detector: Detector | None = None
        self.version: str | None = None
        self.trained_ms: int | None = None
        self.writer: ScoreWriter | None = None
        self.shards: Shards | None = None
        self.partial = False
        self.change_job(job)

    def change_job(self, job: Job) -> None:
        """Go on under a changed job file."""
        self.job = job
        self.source: Source = open_source(job)
        if self.writer is not None and self.writer.config != job.write:
            self.writer.close()
            self.writer = None
        if self.writer is None and job.write is not None:
            self.writer = ScoreWriter(job.name, job.write, self.store_url)
        if self.shards is not None and len(self.shards) != job.shards:
            self.shards.close()
            self.shards = None
        if self.shards is None and job.shards > 1:
            self.shards = Shards(job.name, self.registry.uri, job.shards)

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
        report = PassReport(job.name, self.version, 0, trained_ms=self.trained_ms)
        beside = job.write is not None and job.write.features
        while True:
            known: Checkpoint | None = ray.get(self.alerts.scorer.remote(job.name))
            since = self._since(known, until, start_ms, step_ms)
            span = next(spans(since, until, job.step_seconds), None)
            if span is None:
                report = replace(report, scored_ms=since)
                break
            state, cursors = (None, None) if known is None else (self._state(known), _cursors(known))
            scored = score_pass(
                self.detector, self.version, self.source, job, span, state, cursors, usual=beside,
                score=self.shards.score if self.shards is not None else None,
            )  # fmt: skip
            stored = time.perf_counter()
            latest = Latest.of(scored, self.detector)
            blocks = blocks_of(job, scored, self.detector.name, features=beside) if job.write is not None else []
            plain = replace(scored, usual=None, members={})
            revision = known.revision if known else 0
            changes = ray.get(self.alerts.apply.remote(job, plain, now_ms, revision, latest, blocks))
            if changes is None:
                continue  # somebody gave feedback or forgot an entity meanwhile, or these rows were taken already
            if self.writer is not None:
                self.writer.wake()
            report = report.after(span, scored, changes, time.perf_counter() - stored)
            if until - span[1] < step_ms:
                break
        self._say_partial(report.partial)
        write = self.writer.stats if self.writer is not None else None
        return replace(report, seconds=time.perf_counter() - began, write=write)

    def _say_partial(self, reasons: tuple[str, ...]) -> None:
        """Log when answers begin and cease to be partial, not at each pass."""
        if reasons and not self.partial:
            self.log.warning(
                "partial answer of the source; no absence is concluded", job=self.job.name, why=reasons[0]
            )
        elif self.partial and not reasons:
            self.log.info("answers of the source are whole again", job=self.job.name)
        self.partial = bool(reasons)

    def _since(self, known: Checkpoint | None, until: int, start_ms: int | None, step_ms: int) -> int:
        """From when to score."""
        if known is None:
            return start_ms if start_ms is not None else until - step_ms
        return max(known.scored_ms, until - round(self.job.history.total_seconds() * 1000))

    def _state(self, known: Checkpoint) -> State | None:
        """State of calibration.

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


def _cursors(known: Checkpoint) -> dict[str, int]:
    """The newest row of each entity: the time of its last row with a sample, ms since the epoch."""
    return Policy.last_seen(State.from_bytes(known.policy_state))
