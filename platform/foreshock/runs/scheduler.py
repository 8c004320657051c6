"""Decides which runs are due, and starts each once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

from foreshock.clock import Clock
from foreshock.logs import get_logger
from foreshock.runs.model import KINDS, Run, Runs
from foreshock.store.scope import Scope, within
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.jobfile.cron import next_due, parse_schedule
from foreshock_pipelines.jobfile.durations import format_duration

__all__ = ["SILENT_AFTER", "Scheduler"]

log = get_logger("schedule")

SILENT_AFTER = timedelta(minutes=2)
"""A run that gave no sign of life for so long has died with its worker."""
AGAIN = "in place of"
"""Cause of a run that was begun because the one before died."""


class Scheduler:
    """Starts the runs that job files ask for.

    At most one run of a kind is active per job. Runs that were missed, because nothing was running or because
    the one before took too long, are caught up by one run. Which times are served is kept in `runs`, so that a
    new scheduler goes on where the one before died.

    Parameters
    ----------
    runs
        Where runs are kept.
    launch
        Starts a run that is noted as queued, and returns at once.
    needs_training
        Says of a job whether it has no model yet: then training is due at once.
    """

    def __init__(
        self, runs: Runs, launch: Callable[[Run], None], clock: Clock, needs_training: Callable[[Job], bool]
    ) -> None:
        self.runs = runs
        self.launch = launch
        self.clock = clock
        self.needs_training = needs_training
        self.retrain_every: timedelta | None = None
        """Of jobs whose file says nothing of it; None: as the default of `Schedule`."""

    def tick(self, jobs: Iterable[Job]) -> list[Run]:
        """Start what is due now; gives the runs that were started."""
        now = self.clock.now()
        jobs = list(jobs)
        started = self._replace_the_dead(now, {job.name: job.tenant for job in jobs})
        for job in jobs:
            for kind in KINDS:
                with within(Scope(job.tenant)):
                    due = self._due(job, kind, now)
                    run = None if due is None else self.runs.begin(job.name, kind, due, now=now, cause="schedule")
                if run is not None:
                    log.info("run started", run=run.id, job=job.name, kind=kind, due=run.due.isoformat())
                    self.launch(run)
                    started.append(run)
        return started

    def _due(self, job: Job, kind: str, now: datetime) -> datetime | None:
        """The latest time not after `now` that is not served yet, or None."""
        text = getattr(job.schedule, kind)
        if kind == "train" and self.retrain_every is not None and "train" not in job.schedule.model_fields_set:
            text = format_duration(self.retrain_every)
        last = self.runs.last_due(job.name, kind, now=now)
        if kind == "train" and self.needs_training(job) and not self._failed_lately(job, now):
            return now
        if text is None:
            return None
        schedule = parse_schedule(text, job.schedule.timezone)
        due = next_due(schedule, last)
        if due > now:
            return None
        while (following := next_due(schedule, due)) <= now:
            due = following
        return due

    def _failed_lately(self, job: Job, now: datetime) -> bool:
        """A first training that failed is tried again after ten minutes, not at every tick."""
        last = next(iter(self.runs.recent(job=job.name, kind="train", limit=1)), None)
        return last is not None and last.ended is not None and now - last.ended < timedelta(minutes=10)

    def _replace_the_dead(self, now: datetime, jobs: Mapping[str, str]) -> list[Run]:
        """Fail the runs whose worker died, as it does with the scheduler before this; begin each again, once."""
        started = []
        for run in self.runs.active():
            if run.beat is None or now - run.beat <= SILENT_AFTER:
                continue
            log.warning("run died", run=run.id, job=run.job, kind=run.kind)
            error = f"gave no sign of life since {run.beat:%Y-%m-%d %H:%M:%S} UTC: its worker died"
            self.runs.update(run.id, state="failed", ended=now, error=error)
            if run.job not in jobs or run.cause.startswith(AGAIN):
                continue
            with within(Scope(jobs[run.job])):
                again = self.runs.begin(
                    run.job, run.kind, run.due, now=now, cause=f"{AGAIN} {run.id}", promotion=run.promotion
                )
            if again is not None:
                self.launch(again)
                started.append(again)
        return started
