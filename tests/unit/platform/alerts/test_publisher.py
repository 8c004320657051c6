"""What a silence holds back, and what it lets through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from foreshock.alerts.pipeline import AlertPipeline
from foreshock.alerts.repository import AlertRepository
from foreshock.notify.deliverer import Deliverer
from foreshock.silences.matchers import parse_matcher
from foreshock.silences.model import Silence
from foreshock.silences.repository import SilenceRepository
from foreshock_models.errors import StateError
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.scoring.scored_rows import ScoredRows

STEP = 60_000
Rows = Callable[..., ScoredRows]
To = tuple[Any, Deliverer]


def silence(engine: AlertPipeline, *matchers: str, start: float = 0, end: float = 10, name: str = "s-1") -> Silence:
    """From minute to minute."""
    made = Silence(
        name, tuple(map(parse_matcher, matchers or ("instance=a",))), round(start * STEP), round(end * STEP),
        "anna", "disk swap", 0,
    )  # fmt: skip
    return SilenceRepository(engine.store).add(made)


def told(to: To) -> list[str]:
    to[1].run(10_000_000)
    events: list[str] = to[0].events
    return events


def test_a_silenced_alert_is_kept_and_nobody_is_told(
    engine: AlertPipeline, job: Job, scored: Rows, receiver: To
) -> None:
    silence(engine)
    engine.apply(job, scored({"a": [1.2, 1.3], "b": [1.2, 1.3]}), 2 * STEP)
    assert [p["entity"] for p in receiver[0].got] == []
    assert told(receiver) == ["opened"]
    assert receiver[0].got[0]["entity"] == "b"
    (alert,) = AlertRepository(engine.store).list(entity="a").alerts
    assert (alert.state, alert.silenced_by, alert.announced) == ("open", "s-1", False)
    line = next(h for h in AlertRepository(engine.store).history(alert.id) if h["event"] == "silenced")
    assert (line["who"], line["why"]) == ("anna", "disk swap")


def test_an_alert_that_ends_inside_a_silence_resolves_quietly(
    engine: AlertPipeline, job: Job, scored: Rows, receiver: To
) -> None:
    silence(engine)
    engine.apply(job, scored({"a": [1.2, 1.3, 0.1, 0.1, 0.1, 0.1]}), 6 * STEP)
    engine.apply(job, scored({"a": [0.1] * 10}, first=6), 16 * STEP)
    assert AlertRepository(engine.store).list().alerts[0].state == "resolved"
    assert told(receiver) == []


def test_an_alert_that_outlasts_a_silence_is_sent_when_it_ends(
    engine: AlertPipeline, job: Job, scored: Rows, receiver: To
) -> None:
    silence(engine, end=4)
    engine.apply(job, scored({"a": [1.2, 1.3, 1.3]}), 3 * STEP)
    assert told(receiver) == []
    engine.apply(job, scored({"a": [1.3]}, first=3), 4 * STEP)
    assert told(receiver) == ["opened"]
    assert AlertRepository(engine.store).list().alerts[0].silenced_by is None


def test_an_alert_is_sent_when_its_silence_ends_though_no_rows_come(
    engine: AlertPipeline, job: Job, scored: Rows, receiver: To
) -> None:
    silence(engine, end=4)
    engine.apply(job, scored({"a": [1.2, 1.3]}), 2 * STEP)
    assert [c.event for c in engine.apply_silences(job, 3 * STEP)] == []
    assert [c.event for c in engine.apply_silences(job, 4 * STEP)] == ["unsilenced"]
    assert told(receiver) == ["opened"]


def test_an_alert_of_an_outage_that_outlasted_its_silence_is_sent_though_one_pass_saw_all_of_it(
    engine: AlertPipeline, job: Job, scored: Rows, receiver: To
) -> None:
    silence(engine, end=4)
    engine.apply(job, scored({"a": [1.2, 1.3, 1.3, 1.3, 1.3, 0.1, 0.1, 0.1, 0.1]}), 9 * STEP)
    assert told(receiver) == ["opened", "resolved"]
    assert [p["state"] for p in receiver[0].got] == ["open", "resolved"]


def test_receivers_that_know_of_an_alert_are_told_of_its_end_inside_a_silence(
    engine: AlertPipeline, job: Job, scored: Rows, receiver: To
) -> None:
    engine.apply(job, scored({"a": [1.2, 1.3]}), 2 * STEP)
    silence(engine, start=2.5)
    engine.apply(job, scored({"a": [2.5]}, first=2), 3 * STEP)  # it escalates, silently
    assert AlertRepository(engine.store).list().alerts[0].silenced_by == "s-1"
    engine.apply(job, scored({"a": [0.1] * 4}, first=3), 7 * STEP)
    assert told(receiver) == ["opened", "resolved"]


def test_an_announced_alert_is_sent_again_when_a_silence_on_it_ends(
    engine: AlertPipeline, job: Job, scored: Rows, receiver: To
) -> None:
    engine.apply(job, scored({"a": [1.2, 1.3]}), 2 * STEP)
    made = silence(engine, start=2.5)
    engine.apply(job, scored({"a": [1.3]}, first=2), 3 * STEP)
    SilenceRepository(engine.store).expire(made.id, round(3.5 * STEP), "ben")
    engine.apply(job, scored({"a": [1.3]}, first=3), 4 * STEP)
    assert told(receiver) == ["opened", "unsilenced"]


def test_an_alert_that_stands_still_is_sent_at_the_end_of_each_silence(
    engine: AlertPipeline, job: Job, scored: Rows, receiver: To
) -> None:
    engine.apply(job, scored({"a": [1.2, 1.3]}), 2 * STEP)
    for start in (10, 20):
        silence(engine, start=start, end=start + 5, name=f"s-{start}")
        engine.apply_silences(job, (start + 1) * STEP)
        engine.apply_silences(job, (start + 6) * STEP)
    assert told(receiver) == ["opened", "unsilenced", "unsilenced"]


def test_a_silence_on_the_severity_lets_an_escalation_through(
    engine: AlertPipeline, job: Job, scored: Rows, receiver: To
) -> None:
    silence(engine, "job=node", "severity=warning")
    engine.apply(job, scored({"a": [1.2, 1.3]}), 2 * STEP)
    assert told(receiver) == []
    engine.apply(job, scored({"a": [2.5]}, first=2), 3 * STEP)
    assert told(receiver) == ["opened", "escalated"]


def test_a_silence_is_ended_once_and_stays_known(engine: AlertPipeline) -> None:
    made = silence(engine)
    silences = SilenceRepository(engine.store)
    ended = silences.expire(made.id, 5 * STEP, "ben")
    assert silences.get(made.id) == ended == replace(made, end_ms=5 * STEP, ended_by="ben")
    with pytest.raises(StateError, match="over already"):
        silences.expire(made.id, 6 * STEP, "ben")


def test_a_silence_that_lapses_soon_is_said_once_to_the_jobs_it_touches(
    engine: AlertPipeline, job: Job, receiver: To
) -> None:
    made = silence(engine, "job=node", "instance=a")
    for _ in range(2):
        with engine.store.begin() as c:
            engine.publisher.remind(c, made, ["node", "other"], 9 * STEP)
    assert told(receiver) == ["lapses"]
    assert receiver[0].got[0]["summary"] == (
        'the silence of anna (disk swap) on job="node", instance="a" ends at 1970-01-01T00:10:00Z'
    )
