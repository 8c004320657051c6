"""Acts of people on alerts, and the transitions that follow."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from foreshock.alerts.model import Alert
from foreshock.alerts.pipeline import AlertPipeline
from foreshock.alerts.repository import AlertRepository
from foreshock.alerts.service import acknowledge, resolve
from foreshock.entities.service import forget
from foreshock.notify.deliverer import Deliverer
from foreshock.notify.outbox import Outbox
from foreshock.scoring.checkpoint import CheckpointRepository
from foreshock.scoring.cursors import CursorRepository
from foreshock_models.errors import StateError, StoreError
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.scoring.scored_rows import ScoredRows

STEP = 60_000
Rows = Callable[..., ScoredRows]


def opened(engine: AlertPipeline, job: Job, scored: Rows, *entities: str) -> list[Alert]:
    """An open alert for each entity, of two rows."""
    engine.apply(job, scored({name: [1.2, 1.3] for name in entities or ("a",)}), 2 * STEP)
    return AlertRepository(engine.store).list(state="open").alerts


def test_an_acknowledged_alert_says_who_and_why_and_goes_on(engine: AlertPipeline, job: Job, scored: Rows) -> None:
    (alert,) = opened(engine, job, scored)
    done = acknowledge(engine.store, alert.id, who="anna", why="on it", now_ms=3 * STEP)
    assert (done.state, done.acknowledged_by) == ("acknowledged", "anna")
    engine.apply(job, scored({"a": [1.4]}, first=2), 3 * STEP)
    now = AlertRepository(engine.store).get(alert.id)
    assert (now.state, now.score, now.acknowledged_by) == ("acknowledged", 1.4, "anna")
    line = AlertRepository(engine.store).history(alert.id)[-1]
    assert (line["event"], line["who"], line["why"]) == ("acknowledged", "anna", "on it")


def test_receivers_are_told_in_order_of_what_people_do(
    engine: AlertPipeline, job: Job, scored: Rows, receiver: tuple[object, Deliverer]
) -> None:
    to, deliverer = receiver
    (alert,) = opened(engine, job, scored)
    acknowledge(engine.store, alert.id, who="anna", why="", now_ms=3 * STEP)
    resolve(engine.store, alert.id, who="ben", why="restarted it", now_ms=4 * STEP)
    deliverer.run(5 * STEP)
    assert to.events == ["opened", "acknowledged", "resolved"]  # type: ignore[attr-defined]
    assert to.got[-1]["resolved_by"] == "ben"  # type: ignore[attr-defined]


def test_receivers_are_told_of_each_acknowledgement_of_an_alert_that_stands_still(
    engine: AlertPipeline, job: Job, scored: Rows, receiver: tuple[object, Deliverer]
) -> None:
    to, deliverer = receiver
    (alert,) = opened(engine, job, scored)
    acknowledge(engine.store, alert.id, who="anna", why="", now_ms=3 * STEP)
    acknowledge(engine.store, alert.id, who="ben", why="", now_ms=3 * STEP + 1)
    deliverer.run(5 * STEP)
    assert [p["acknowledged_by"] for p in to.got] == [None, "anna", "ben"]  # type: ignore[attr-defined]
    assert len({p["posted"] for p in to.got}) == 3  # type: ignore[attr-defined]


def test_what_people_did_while_the_platform_was_down_is_delivered_when_it_is_up(
    engine: AlertPipeline, job: Job, scored: Rows, receiver: tuple[object, Deliverer]
) -> None:
    (alert,) = opened(engine, job, scored)
    resolve(engine.store, alert.id, who="ben", why="", now_ms=3 * STEP)
    assert Outbox(engine.store).undelivered() == 2
    receiver[1].run(1000 * STEP)
    assert receiver[0].events == ["opened", "resolved"]  # type: ignore[attr-defined]


def test_a_resolve_by_a_person_holds_while_the_episode_goes_on(
    engine: AlertPipeline, job: Job, scored: Rows
) -> None:
    (alert,) = opened(engine, job, scored)
    resolve(engine.store, alert.id, who="ben", why="known", now_ms=2 * STEP)
    for minute in range(2, 12):
        assert engine.apply(job, scored({"a": [1.4]}, first=minute), minute * STEP) == []
    assert AlertRepository(engine.store).get(alert.id).state == "resolved"


def test_an_episode_that_a_person_resolved_comes_back_when_it_becomes_critical(
    engine: AlertPipeline, job: Job, scored: Rows
) -> None:
    (alert,) = opened(engine, job, scored)
    resolve(engine.store, alert.id, who="ben", why="known", now_ms=2 * STEP)
    (change,) = engine.apply(job, scored({"a": [2.6]}, first=2), 3 * STEP) or []
    assert (change.event, change.alert.id, change.alert.severity) == ("reopened", alert.id, "critical")
    assert AlertRepository(engine.store).get(alert.id).resolved_by is None


def test_a_new_episode_after_a_resolve_by_a_person_is_an_alert_again(
    engine: AlertPipeline, job: Job, scored: Rows
) -> None:
    (alert,) = opened(engine, job, scored)
    resolve(engine.store, alert.id, who="ben", why="known", now_ms=2 * STEP)
    changes = engine.apply(job, scored({"a": [0.1] * 10 + [1.3, 1.3]}, first=2), 14 * STEP) or []
    assert [change.event for change in changes] == ["opened"]
    assert changes[0].alert.id != alert.id


def test_what_is_resolved_cannot_be_acknowledged_or_resolved_again(
    engine: AlertPipeline, job: Job, scored: Rows
) -> None:
    (alert,) = opened(engine, job, scored)
    resolve(engine.store, alert.id, who="ben", why="", now_ms=3 * STEP)
    for act in (acknowledge, resolve):
        with pytest.raises(StateError, match="resolved already, by ben"):
            act(engine.store, alert.id, who="anna", why="", now_ms=4 * STEP)


def test_a_pass_that_runs_at_the_same_time_waits_for_an_acknowledgement_and_keeps_it(
    engine_anywhere: AlertPipeline, job: Job, scored: Rows
) -> None:
    store = engine_anywhere.store
    (alert,) = opened(engine_anywhere, job, scored)
    thread = threading.Thread(
        target=acknowledge, args=(store, alert.id), kwargs={"who": "anna", "why": "", "now_ms": 3 * STEP}
    )
    with store.begin() as c:  # as a pass does: reads, then writes
        (live,) = AlertRepository(store).live(job.name, c).values()
        thread.start()
        time.sleep(0.3)
        assert thread.is_alive(), "it must wait for the pass"
        AlertRepository(store).save(c, replace(live, score=1.7), event="updated", at_ms=3, who="foreshock", why="")
    thread.join()
    now = AlertRepository(store).get(alert.id)
    assert (now.state, now.score) == ("acknowledged", 1.7)


def test_no_acknowledgement_is_lost_while_passes_run(
    engine_anywhere: AlertPipeline, job: Job, scored: Rows
) -> None:
    names = [f"host-{n}" for n in range(20)]
    alerts = opened(engine_anywhere, job, scored, *names)
    over = threading.Event()
    passes = []

    def passing() -> None:
        minute = 2
        while not over.is_set():
            rows = scored({name: [1.2 + minute % 3 / 10] for name in names}, first=minute)
            passes.append(engine_anywhere.apply(job, rows, minute * STEP))
            minute += 1
            time.sleep(0.01)  # SQLite lets whoever writes write again before those who wait

    thread = threading.Thread(target=passing)
    thread.start()
    for alert in alerts:
        acknowledge(engine_anywhere.store, alert.id, who="anna", why="", now_ms=3 * STEP)
        before, deadline = len(passes), time.monotonic() + 30
        while len(passes) == before and time.monotonic() < deadline:
            time.sleep(0.005)
    over.set()
    thread.join()
    assert len(passes) >= len(alerts)
    assert {a.state for a in AlertRepository(engine_anywhere.store).list().alerts} == {"acknowledged"}


def test_a_pass_from_before_a_change_by_a_person_is_refused(engine: AlertPipeline, job: Job, scored: Rows) -> None:
    opened(engine, job, scored, "a", "b")
    before = CheckpointRepository(engine.store).get(job.name)
    forget(engine.store, job.name, ["b"], who="anna", why="sold", now_ms=3 * STEP)
    assert before is not None
    assert engine.apply(job, scored({"a": [0.1]}, first=2), 3 * STEP, before.revision) is None
    assert engine.apply(job, scored({"a": [0.1]}, first=2), 3 * STEP, before.revision + 1) is not None


def test_an_entity_that_is_forgotten_is_not_missed_and_its_alerts_end(
    engine: AlertPipeline, job: Job, scored: Rows
) -> None:
    opened(engine, job, scored, "a", "b")
    (done,) = forget(engine.store, job.name, ["b"], who="anna", why="sold", now_ms=3 * STEP)
    assert (done.entity, done.state, done.resolved_by) == ("b", "resolved", "anna")
    assert [row["entity"] for row in CursorRepository(engine.store).of_job(job.name)] == ["a"]
    assert engine.apply(job, scored({"a": [0.1] * 10}, first=2), 12 * STEP) is not None
    assert AlertRepository(engine.store).list(kind="absent").alerts == []


def test_an_entity_that_is_not_there_cannot_be_forgotten(engine: AlertPipeline, job: Job, scored: Rows) -> None:
    opened(engine, job, scored, "host-1")
    with pytest.raises(StoreError, match="did you mean 'host-1'"):
        forget(engine.store, job.name, ["host1"], who="anna", why="", now_ms=3 * STEP)
