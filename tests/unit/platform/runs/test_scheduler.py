from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from foreshock.clock import ReplayClock
from foreshock.runs.model import MemoryRuns, Run
from foreshock.runs.scheduler import SILENT_AFTER, Scheduler
from foreshock_pipelines.jobfile import Job

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


class Platform:
    """A scheduler with a clock that the test moves; runs survive its death."""

    def __init__(self, **schedule: str | None) -> None:
        self.job = Job.model_validate(
            {
                "name": "node",
                "source": {"prometheus": "http://localhost:9090"},
                "queries": {"cpu": "up"},
                "entity": ["instance"],
                "detectors": ["iforest"],
                "schedule": {"train": None, **schedule},
            }
        )
        self.runs = MemoryRuns()
        self.clock = ReplayClock(START, START + timedelta(days=365))
        self.launched: list[Run] = []
        self.has_model = True
        self.restart()

    def restart(self) -> None:
        self.scheduler = Scheduler(self.runs, self.launched.append, self.clock, lambda _: not self.has_model)

    def after(self, **time: float) -> list[Run]:
        self.clock.sleep(timedelta(**time).total_seconds())
        return self.scheduler.tick([self.job])

    def finish(self, run: Run, state: str = "succeeded") -> None:
        self.runs.update(run.id, state=state, ended=self.clock.now())


@pytest.fixture
def nightly() -> Platform:
    platform = Platform(train="0 3 * * *")
    assert platform.after(minutes=0) == []
    return platform


def test_a_run_starts_when_it_is_due_and_not_before(nightly: Platform) -> None:
    assert nightly.after(hours=14, minutes=59) == []
    (run,) = nightly.after(minutes=1)
    assert (run.kind, run.due) == ("train", START + timedelta(hours=15))
    assert nightly.launched == [run]


def test_missed_runs_are_caught_up_once(nightly: Platform) -> None:
    (run,) = nightly.after(days=4)
    assert run.due == START + timedelta(days=3, hours=15)
    nightly.finish(run)
    assert nightly.after(minutes=1) == []


def test_runs_missed_while_the_scheduler_was_dead_are_caught_up_once(nightly: Platform) -> None:
    nightly.clock.sleep(timedelta(days=2).total_seconds())
    nightly.restart()
    (run,) = nightly.after(minutes=0)
    nightly.finish(run)
    assert nightly.after(minutes=1) == []


def test_at_most_one_run_of_a_kind_is_active_per_job() -> None:
    platform = Platform(train="1h")
    platform.after(minutes=0)
    (run,) = platform.after(hours=1)
    platform.runs.update(run.id, beat=platform.clock.now() + timedelta(hours=2))
    assert platform.after(hours=1) == []
    platform.finish(run)
    assert len(platform.after(minutes=1)) == 1


def test_a_job_without_a_model_is_trained_at_once_and_not_in_a_loop_when_that_fails() -> None:
    platform = Platform()
    platform.has_model = False
    (run,) = platform.after(minutes=0)
    assert run.kind == "train"
    platform.finish(run, "failed")
    assert platform.after(minutes=1) == []
    assert len(platform.after(minutes=10)) == 1


def test_a_run_that_gives_no_sign_of_life_is_failed_and_makes_room(nightly: Platform) -> None:
    (run,) = nightly.after(hours=15)
    nightly.after(seconds=SILENT_AFTER.total_seconds() + 1)
    dead = nightly.runs.get(run.id)
    assert dead.state == "failed"
    assert "no sign of life" in (dead.error or "")
    assert len(nightly.after(days=1)) == 1


def test_a_run_that_died_is_begun_anew_once(nightly: Platform) -> None:
    (run,) = nightly.after(hours=15)
    (again,) = nightly.after(seconds=SILENT_AFTER.total_seconds() + 1)
    assert (again.kind, again.due, again.cause) == ("train", run.due, f"in place of {run.id}")
    assert nightly.after(seconds=SILENT_AFTER.total_seconds() + 1) == []
    assert nightly.runs.get(again.id).state == "failed"


def test_a_run_in_place_of_a_dead_one_keeps_its_promotion_policy(nightly: Platform) -> None:
    now = nightly.clock.now()
    run = nightly.runs.begin("node", "train", now, now=now, cause="http", promotion="always")
    assert run is not None
    (again,) = nightly.after(seconds=SILENT_AFTER.total_seconds() + 1)
    assert (again.cause, again.promotion) == (f"in place of {run.id}", "always")


def test_a_run_that_has_ended_is_never_changed(nightly: Platform) -> None:
    (run,) = nightly.after(hours=15)
    nightly.finish(run, "cancelled")
    nightly.runs.update(run.id, state="succeeded")
    assert nightly.runs.get(run.id).state == "cancelled"


def test_the_interval_of_the_installation_is_that_of_jobs_that_name_none() -> None:
    platform = Platform()
    platform.job = Job.model_validate({**platform.job.model_dump(by_alias=True, exclude={"schedule"})})
    platform.scheduler.retrain_every = timedelta(hours=6)
    assert platform.after(minutes=0) == []
    (run,) = platform.after(hours=6)
    assert run.kind == "train"
    silent = Platform(train=None)
    silent.scheduler.retrain_every = timedelta(hours=6)
    assert silent.after(hours=100) == []
