"""What scored rows do to alerts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from foreshock.alerts.delivery import alert_deliverer
from foreshock.alerts.pipeline import AlertPipeline
from foreshock.alerts.repository import AlertRepository
from foreshock.notify.deliverer import Deliverer
from foreshock.notify.outbox import Outbox
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.scoring.scored_rows import ScoredRows

STEP = 60_000
Rows = Callable[..., ScoredRows]


def events(engine: AlertPipeline, job: Job, rows: ScoredRows) -> list[str]:
    now = int(rows.panel.timestamps.max())
    return [change.event for change in engine.apply(job, rows, now)]


def test_an_alert_opens_when_n_of_m_rows_are_anomalous(engine: AlertPipeline, job: Job, scored: Rows) -> None:
    assert events(engine, job, scored({"a": [0.1, 1.2, 0.2, 1.3]})) == ["opened"]
    (alert,) = AlertRepository(engine.store).list().alerts
    assert (alert.entity, alert.state, alert.opened_ms) == ("a", "open", 4 * STEP)
    assert alert.summary == "a (node) is anomalous, score 1.30: cpu 90%: 0.97, usual 0.4 (0.3 to 0.5)"


def test_votes_of_earlier_passes_count(engine: AlertPipeline, job: Job, scored: Rows) -> None:
    assert events(engine, job, scored({"a": [1.2]})) == []
    assert events(engine, job, scored({"a": [1.2]}, first=1)) == ["opened"]


def test_a_repeated_pass_changes_nothing(engine: AlertPipeline, job: Job, scored: Rows) -> None:
    rows = scored({"a": [1.2, 1.3]})
    assert events(engine, job, rows) == ["opened"]
    assert events(engine, job, rows) == []
    assert len(Outbox(engine.store).unsent()) == 1


def test_an_alert_resolves_after_a_quiet_time_and_says_why(engine: AlertPipeline, job: Job, scored: Rows) -> None:
    assert events(engine, job, scored({"a": [1.2, 1.3, 0.1, 0.1, 0.1, 0.1]})) == ["opened", "resolved"]
    (alert,) = AlertRepository(engine.store).list().alerts
    assert alert.state == "resolved"
    assert [line["event"] for line in AlertRepository(engine.store).history(alert.id)] == [
        "opened",
        "pending",
        "resolved",
    ]


def test_an_anomaly_that_comes_back_soon_reopens_its_alert(engine: AlertPipeline, job: Job, scored: Rows) -> None:
    quiet = [0.1] * 3
    assert events(engine, job, scored({"a": [1.2, 1.3, *quiet, 1.2, 1.3]})) == ["opened", "resolved", "reopened"]
    assert len(AlertRepository(engine.store).list().alerts) == 1


def test_an_anomaly_that_comes_back_later_is_a_new_alert(engine: AlertPipeline, job: Job, scored: Rows) -> None:
    assert events(engine, job, scored({"a": [1.2, 1.3, *[0.1] * 9, 1.2, 1.3]})) == ["opened", "resolved", "opened"]


def test_a_high_score_makes_the_alert_critical(engine: AlertPipeline, job: Job, scored: Rows) -> None:
    assert events(engine, job, scored({"a": [1.2, 1.3]})) == ["opened"]
    assert events(engine, job, scored({"a": [2.5]}, first=2)) == ["escalated"]
    assert AlertRepository(engine.store).list().alerts[0].severity == "critical"


def test_an_alert_that_ends_in_the_pass_it_opened_in_has_its_highest_score(
    engine: AlertPipeline, job: Job, scored: Rows
) -> None:
    assert events(engine, job, scored({"a": [1.2, 1.3, 2.5, 0.1, 0.1, 0.1, 0.1]})) == ["opened", "resolved"]
    (alert,) = AlertRepository(engine.store).list().alerts
    assert (alert.peak, alert.severity) == (2.5, "critical")


def test_rows_that_the_policy_does_not_permit_raise_no_alert(engine: AlertPipeline, job: Job, scored: Rows) -> None:
    assert events(engine, job, scored({"a": [1.2, 1.3]}, permitted=np.zeros(2, bool))) == []


def test_an_entity_that_falls_silent_raises_an_absent_alert_which_resolves(
    engine: AlertPipeline, job: Job, scored: Rows
) -> None:
    nan = float("nan")
    assert events(engine, job, scored({"a": [0.1, 0.1], "b": [0.1, 0.1]})) == []
    assert events(engine, job, scored({"a": [0.1] * 5, "b": [nan] * 5}, first=2)) == []
    assert events(engine, job, scored({"a": [0.1], "b": [nan]}, first=7)) == ["opened"]
    (alert,) = AlertRepository(engine.store).list().alerts
    assert (alert.kind, alert.entity) == ("absent", "b")
    assert events(engine, job, scored({"a": [0.1], "b": [0.1]}, first=8)) == ["resolved"]


def test_an_entity_that_left_the_source_altogether_is_noticed(
    engine: AlertPipeline, job: Job, scored: Rows
) -> None:
    assert events(engine, job, scored({"a": [0.1], "b": [0.1]})) == []
    assert events(engine, job, scored({"a": [0.1] * 7}, first=1)) == ["opened"]


def test_an_entity_that_is_gone_for_long_is_forgotten(engine: AlertPipeline, job: Job, scored: Rows) -> None:
    events(engine, job, scored({"a": [0.1], "b": [0.1]}))
    events(engine, job, scored({"a": [0.1] * 10}, first=1))
    assert events(engine, job, scored({"a": [0.1] * 60}, first=11)) == ["resolved"]
    assert events(engine, job, scored({"a": [0.1] * 10}, first=71)) == []


def test_an_entity_that_never_sent_anything_is_not_absent(engine: AlertPipeline, job: Job, scored: Rows) -> None:
    assert events(engine, job, scored({"a": [0.1] * 20, "b": [float("nan")] * 20})) == []


def test_a_new_normal_is_said_once(engine: AlertPipeline, job: Job, scored: Rows) -> None:
    rows = scored({"a": [0.1, 0.1]})
    rows = ScoredRows(**{**vars(rows), "new_normal": (("a", STEP),)})
    assert events(engine, job, rows) == ["opened"]
    assert AlertRepository(engine.store).list().alerts[0].kind == "notice"


def test_an_alert_found_after_an_outage_is_marked_late(engine: AlertPipeline, job: Job, scored: Rows) -> None:
    engine.apply(job, scored({"a": [1.2, 1.3]}), now_ms=60 * STEP)
    assert AlertRepository(engine.store).list().alerts[0].late


# -- delivery -------------------------------------------------------------------------------------------------
def test_what_was_posted_is_delivered_once(
    engine: AlertPipeline, job: Job, scored: Rows, receiver: tuple[Any, Deliverer]
) -> None:
    to, deliverer = receiver
    engine.apply(job, scored({"a": [1.2, 1.3]}), 2 * STEP)
    assert [deliverer.run(3 * STEP), deliverer.run(4 * STEP)] == [1, 0]
    assert to.got[0]["event"] == "opened"
    assert to.got[0]["url"] == f"http://foreshock/ai/anomalies/{to.got[0]['id']}"


def test_a_receiver_that_was_down_gets_everything_in_order(
    engine: AlertPipeline, job: Job, scored: Rows, receiver: tuple[Any, Deliverer]
) -> None:
    to, deliverer = receiver
    to.down = True
    engine.apply(job, scored({"a": [1.2, 1.3]}), 2 * STEP)
    deliverer.run(2 * STEP)
    engine.apply(job, scored({"a": [0.1] * 4}, first=2), 6 * STEP)
    to.down = False
    assert deliverer.run(2 * STEP) == 0, "the pause after a failure holds back what came later"
    deliverer.run(60 * STEP)
    assert [p["event"] for p in to.got] == ["opened", "resolved"]


def test_notifications_of_a_notifier_that_is_gone_do_not_pile_up(
    engine: AlertPipeline, job: Job, scored: Rows
) -> None:
    engine.apply(job, scored({"a": [1.2, 1.3]}), 2 * STEP)
    alert_deliverer(engine.store, []).run(3 * STEP)
    assert Outbox(engine.store).undelivered() == 1, "its job may be about to be made known"
    alert_deliverer(engine.store, []).run(20 * STEP)
    assert Outbox(engine.store).undelivered() == 0
