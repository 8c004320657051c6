"""What the alert actor does beside scoring."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from foreshock.alerts.pipeline import AlertPipeline
from foreshock.alerts.repository import AlertRepository
from foreshock.alerts.service import resolve
from foreshock.notify.deliverer import Deliverer
from foreshock.runtime.maintenance import Maintenance
from foreshock.silences.matchers import parse_matcher
from foreshock.silences.model import Silence
from foreshock.silences.repository import SilenceRepository
from foreshock.store.retention import Retention
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.scoring.scored_rows import ScoredRows

STEP = 60_000
Rows = Callable[..., ScoredRows]
To = tuple[Any, Deliverer]


def silence(engine: AlertPipeline, end: int) -> Silence:
    return SilenceRepository(engine.store).add(
        Silence("s-1", (parse_matcher("instance=a"),), 0, end * STEP, "anna", "disk swap", 0)
    )


def test_a_silence_ends_on_time_though_scoring_stands_still(
    engine: AlertPipeline, job: Job, scored: Rows, receiver: To
) -> None:
    silence(engine, end=10)
    engine.apply(job, scored({"a": [1.2, 1.3]}), 2 * STEP)
    maintenance = Maintenance(engine)
    for minute in (9, 11):
        maintenance.run({job.name: job}, {job.name: 2 * STEP}, minute * STEP)
        receiver[1].run(minute * STEP)
        assert receiver[0].events.count("opened") == (minute > 10)


def test_while_passes_come_silences_follow_the_time_of_their_rows(
    engine: AlertPipeline, job: Job, scored: Rows, receiver: To
) -> None:
    """An outage is caught up: rows of minute 2 are scored at minute 100."""
    silence(engine, end=10)
    engine.apply(job, scored({"a": [1.2, 1.3]}), 100 * STEP)
    Maintenance(engine).run({job.name: job}, {job.name: 100 * STEP}, 100 * STEP)
    receiver[1].run(100 * STEP)
    assert receiver[0].events == []


def test_an_owner_is_reminded_once_before_a_silence_lapses(engine: AlertPipeline, job: Job, receiver: To) -> None:
    silence(engine, end=100)
    maintenance = Maintenance(engine)
    told = []
    for minute in (50, 89, 90, 91, 99, 101):
        maintenance.run({job.name: job}, {}, minute * STEP)
        receiver[1].run(minute * STEP)
        told.append(len(receiver[0].events))
    assert told == [0, 0, 1, 1, 1, 1]
    assert receiver[0].events == ["lapses"]


def test_what_is_old_goes_once_a_day(engine: AlertPipeline, job: Job, scored: Rows) -> None:
    engine.apply(job, scored({"a": [1.2, 1.3]}), 2 * STEP)
    (alert,) = AlertRepository(engine.store).list().alerts
    resolve(engine.store, alert.id, who="anna", why="", now_ms=3 * STEP)
    maintenance = Maintenance(engine, Retention(alerts=timedelta(days=1)))
    day = 24 * 60
    maintenance.run({}, {}, 2 * STEP)
    maintenance.run({}, {}, 3 * STEP)  # nothing is left to do: not again for a day
    assert len(AlertRepository(engine.store).list().alerts) == 1
    engine.apply(job, scored({"a": [0.1]}, first=day + 4), (day + 4) * STEP)
    maintenance.run({}, {}, (day + 4) * STEP)
    assert AlertRepository(engine.store).list().alerts == []
    assert AlertRepository(engine.store).history(alert.id) == []


def test_alerts_of_a_replayed_past_are_not_old_when_they_are_made(
    engine: AlertPipeline, job: Job, scored: Rows
) -> None:
    engine.apply(job, scored({"a": [1.2, 1.3]}), 2 * STEP)
    (alert,) = AlertRepository(engine.store).list().alerts
    resolve(engine.store, alert.id, who="anna", why="", now_ms=3 * STEP)
    Maintenance(engine, Retention(alerts=timedelta(days=1))).run({}, {}, 100 * 24 * 60 * STEP)
    assert len(AlertRepository(engine.store).list().alerts) == 1


def test_retention_that_is_shortened_holds_at_once(engine: AlertPipeline, job: Job, scored: Rows) -> None:
    engine.apply(job, scored({"a": [1.2, 1.3]}), 2 * STEP)
    (alert,) = AlertRepository(engine.store).list().alerts
    resolve(engine.store, alert.id, who="anna", why="", now_ms=3 * STEP)
    engine.apply(job, scored({"a": [0.1]}, first=60), 60 * STEP)
    maintenance = Maintenance(engine, Retention(alerts=timedelta(days=1)))
    maintenance.run({}, {}, 60 * STEP)
    maintenance.keep_for(Retention(alerts=timedelta(minutes=10)))
    maintenance.run({}, {}, 61 * STEP)
    assert AlertRepository(engine.store).list().alerts == []
