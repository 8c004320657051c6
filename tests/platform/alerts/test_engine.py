"""What scored rows do to alerts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foreshock.alerts.delivery import Deliverer
from foreshock.alerts.engine import Engine
from foreshock.store import open_store
from foreshock_models.calibration.state import State
from foreshock_models.errors import NotifyError
from foreshock_models.panel import Panel
from foreshock_pipelines.jobfile import Job, parse_job
from foreshock_pipelines.jobs.score import Cause, Scored

STEP = 60_000
JOB = """
name: node
source: {prometheus: http://localhost:9090}
queries: {cpu: cpu, memory: memory}
entity: [instance]
step: 60s
alerts: {for: 2 of 3, resolve_after: 3m, absent_after: 5m, forget_after: 1h}
notify: [{type: webhook, url: "http://127.0.0.1:1/"}]
"""


@pytest.fixture
def job() -> Job:
    return parse_job(JOB)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(open_store(f"sqlite:///{tmp_path}/store.db"), "http://foreshock")


def scored(scores: dict[str, list[float]], first: int = 0, **more: Any) -> Scored:
    """Rows of some entities; NaN is a row without samples."""
    n = len(next(iter(scores.values())))
    flat = np.concatenate([np.array(v, dtype=float) for v in scores.values()])
    panel = Panel(
        values=np.where(np.isnan(flat), np.nan, 0.5)[:, None].repeat(2, axis=1),
        offsets=np.arange(0, len(flat) + 1, n),
        entities=tuple(scores),
        features=("cpu", "memory"),
        timestamps=np.tile((first + np.arange(1, n + 1)) * STEP, len(scores)).astype(np.int64),
        step=60.0,
    )
    flat = np.nan_to_num(flat)
    causes = {int(i): [Cause("cpu", 0.9, 0.97, 0.4, 0.3, 0.5)] for i in np.flatnonzero(flat >= 1)}
    state = State(tuple(scores), {"calibration": np.zeros((len(scores), 1))})
    true = np.ones(len(flat), bool)
    fields: dict[str, Any] = {"warming": ~true, "permitted": true, **more}
    return Scored("v1", panel, flat, fields["warming"], fields["permitted"], causes, state)


def events(engine: Engine, job: Job, rows: Scored) -> list[str]:
    now = int(rows.panel.timestamps.max())
    return [change.event for change in engine.take(job, rows, now)]


def test_an_alert_opens_when_n_of_m_rows_are_anomalous(engine: Engine, job: Job) -> None:
    assert events(engine, job, scored({"a": [0.1, 1.2, 0.2, 1.3]})) == ["opened"]
    (alert,) = engine.store.alerts().alerts
    assert (alert.entity, alert.state, alert.opened_ms) == ("a", "open", 4 * STEP)
    assert alert.summary == "a (node) is anomalous, score 1.30: cpu 90%: 0.97, usual 0.4 (0.3 to 0.5)"


def test_votes_of_earlier_passes_count(engine: Engine, job: Job) -> None:
    assert events(engine, job, scored({"a": [1.2]})) == []
    assert events(engine, job, scored({"a": [1.2]}, first=1)) == ["opened"]


def test_a_repeated_pass_changes_nothing(engine: Engine, job: Job) -> None:
    rows = scored({"a": [1.2, 1.3]})
    assert events(engine, job, rows) == ["opened"]
    assert events(engine, job, rows) == []
    assert len(engine.store.unsent()) == 1


def test_an_alert_resolves_after_a_quiet_time_and_says_why(engine: Engine, job: Job) -> None:
    assert events(engine, job, scored({"a": [1.2, 1.3, 0.1, 0.1, 0.1, 0.1]})) == ["opened", "resolved"]
    (alert,) = engine.store.alerts().alerts
    assert alert.state == "resolved"
    assert [line["event"] for line in engine.store.history(alert.id)] == ["opened", "resolved"]


def test_an_anomaly_that_comes_back_soon_reopens_its_alert(engine: Engine, job: Job) -> None:
    quiet = [0.1] * 3
    assert events(engine, job, scored({"a": [1.2, 1.3, *quiet, 1.2, 1.3]})) == ["opened", "resolved", "reopened"]
    assert len(engine.store.alerts().alerts) == 1


def test_an_anomaly_that_comes_back_later_is_a_new_alert(engine: Engine, job: Job) -> None:
    assert events(engine, job, scored({"a": [1.2, 1.3, *[0.1] * 9, 1.2, 1.3]})) == ["opened", "resolved", "opened"]


def test_a_high_score_makes_the_alert_critical(engine: Engine, job: Job) -> None:
    assert events(engine, job, scored({"a": [1.2, 1.3]})) == ["opened"]
    assert events(engine, job, scored({"a": [2.5]}, first=2)) == ["escalated"]
    assert engine.store.alerts().alerts[0].severity == "critical"


def test_rows_that_the_policy_does_not_permit_raise_no_alert(engine: Engine, job: Job) -> None:
    assert events(engine, job, scored({"a": [1.2, 1.3]}, permitted=np.zeros(2, bool))) == []


def test_an_entity_that_falls_silent_raises_an_absent_alert_which_resolves(engine: Engine, job: Job) -> None:
    nan = float("nan")
    assert events(engine, job, scored({"a": [0.1, 0.1], "b": [0.1, 0.1]})) == []
    assert events(engine, job, scored({"a": [0.1] * 5, "b": [nan] * 5}, first=2)) == []
    assert events(engine, job, scored({"a": [0.1], "b": [nan]}, first=7)) == ["opened"]
    (alert,) = engine.store.alerts().alerts
    assert (alert.kind, alert.entity) == ("absent", "b")
    assert events(engine, job, scored({"a": [0.1], "b": [0.1]}, first=8)) == ["resolved"]


def test_an_entity_that_left_the_source_altogether_is_noticed(engine: Engine, job: Job) -> None:
    assert events(engine, job, scored({"a": [0.1], "b": [0.1]})) == []
    assert events(engine, job, scored({"a": [0.1] * 7}, first=1)) == ["opened"]


def test_an_entity_that_is_gone_for_long_is_forgotten(engine: Engine, job: Job) -> None:
    events(engine, job, scored({"a": [0.1], "b": [0.1]}))
    events(engine, job, scored({"a": [0.1] * 10}, first=1))
    assert events(engine, job, scored({"a": [0.1] * 60}, first=11)) == ["resolved"]
    assert events(engine, job, scored({"a": [0.1] * 10}, first=71)) == []


def test_an_entity_that_never_sent_anything_is_not_absent(engine: Engine, job: Job) -> None:
    assert events(engine, job, scored({"a": [0.1] * 20, "b": [float("nan")] * 20})) == []


def test_a_new_normal_is_said_once(engine: Engine, job: Job) -> None:
    rows = scored({"a": [0.1, 0.1]})
    rows = Scored(**{**vars(rows), "new_normal": (("a", STEP),)})
    assert events(engine, job, rows) == ["opened"]
    assert engine.store.alerts().alerts[0].kind == "notice"


def test_an_alert_found_after_an_outage_is_marked_late(engine: Engine, job: Job) -> None:
    engine.take(job, scored({"a": [1.2, 1.3]}), now_ms=60 * STEP)
    assert engine.store.alerts().alerts[0].late


# -- delivery -------------------------------------------------------------------------------------------------
class Receiver:
    def __init__(self) -> None:
        self.down = False
        self.got: list[dict[str, Any]] = []

    def send(self, payload: dict[str, Any]) -> None:
        if self.down:
            raise NotifyError("down")
        self.got.append(payload)


@pytest.fixture
def receiver(engine: Engine, job: Job) -> tuple[Receiver, Deliverer]:
    receiver = Receiver()
    deliverer = Deliverer(engine.store, [job])
    deliverer.notifiers = dict.fromkeys(deliverer.notifiers, receiver)
    return receiver, deliverer


def test_what_was_posted_is_delivered_once(engine: Engine, job: Job, receiver: tuple[Receiver, Deliverer]) -> None:
    to, deliverer = receiver
    engine.take(job, scored({"a": [1.2, 1.3]}), 2 * STEP)
    assert [deliverer.run(3 * STEP), deliverer.run(4 * STEP)] == [1, 0]
    assert to.got[0]["event"] == "opened"
    assert to.got[0]["url"] == f"http://foreshock/ai/anomalies/{to.got[0]['id']}"


def test_a_receiver_that_was_down_gets_everything_in_order(
    engine: Engine, job: Job, receiver: tuple[Receiver, Deliverer]
) -> None:
    to, deliverer = receiver
    to.down = True
    engine.take(job, scored({"a": [1.2, 1.3]}), 2 * STEP)
    deliverer.run(2 * STEP)
    engine.take(job, scored({"a": [0.1] * 4}, first=2), 6 * STEP)
    to.down = False
    assert deliverer.run(2 * STEP) == 0, "the pause after a failure holds back what came later"
    deliverer.run(60 * STEP)
    assert [p["event"] for p in to.got] == ["opened", "resolved"]


def test_notifications_of_a_notifier_that_is_gone_do_not_pile_up(engine: Engine, job: Job) -> None:
    engine.take(job, scored({"a": [1.2, 1.3]}), 2 * STEP)
    Deliverer(engine.store, []).run(3 * STEP)
    assert engine.store.undelivered() == 0
