"""Single series that vanish; entities are in `test_engine.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from foreshock.alerts.pipeline import AlertPipeline
from foreshock.alerts.repository import AlertRepository
from foreshock.scoring.cursors import CursorRepository
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.scoring.scored_rows import ScoredRows

STEP = 60_000
NAN = float("nan")
Rows = Callable[..., ScoredRows]


def events(engine: AlertPipeline, job: Job, rows: ScoredRows) -> list[tuple[str, str]]:
    now = int(rows.panel.timestamps.max())
    return [(c.event, c.alert.feature) for c in engine.apply(job, rows, now) or [] if c.event != "updated"]


def test_a_series_that_vanishes_while_others_go_on_is_absent_within_the_limit_and_a_step(
    engine: AlertPipeline, job: Job, scored: Rows
) -> None:
    assert events(engine, job, scored({"a": [0.1]})) == []
    for minute in range(1, 6):
        assert events(engine, job, scored({"a": [0.1]}, first=minute, missing="memory")) == []
    assert events(engine, job, scored({"a": [0.1]}, first=6, missing="memory")) == [("opened", "memory")]
    (alert,) = AlertRepository(engine.store).list().alerts
    assert (alert.kind, alert.entity, alert.opened_ms) == ("absent", "a", 2 * STEP)
    assert alert.summary == "a (node) has sent no memory for 6 min"


def test_a_series_that_is_back_resolves_its_alert(engine: AlertPipeline, job: Job, scored: Rows) -> None:
    events(engine, job, scored({"a": [0.1]}))
    events(engine, job, scored({"a": [0.1] * 6}, first=1, missing="memory"))
    assert events(engine, job, scored({"a": [0.1]}, first=7)) == [("resolved", "memory")]


def test_an_entity_that_dies_is_one_alert_though_its_series_are_several(
    engine: AlertPipeline, job: Job, scored: Rows
) -> None:
    events(engine, job, scored({"a": [0.1], "b": [0.1]}))
    assert events(engine, job, scored({"a": [0.1] * 8, "b": [NAN] * 8}, first=1)) == [("opened", "")]


def test_the_alert_of_a_series_becomes_that_of_its_entity_when_all_of_it_is_gone(
    engine: AlertPipeline, job: Job, scored: Rows
) -> None:
    events(engine, job, scored({"a": [0.1]}))
    events(engine, job, scored({"a": [0.1] * 6}, first=1, missing="memory"))
    found = events(engine, job, scored({"a": [NAN] * 7, "b": [0.1] * 7}, first=7))
    assert found == [("resolved", "memory"), ("opened", "")]


def test_a_series_that_is_gone_for_long_is_forgotten(engine: AlertPipeline, job: Job, scored: Rows) -> None:
    events(engine, job, scored({"a": [0.1]}))
    events(engine, job, scored({"a": [0.1] * 6}, first=1, missing="memory"))
    assert events(engine, job, scored({"a": [0.1] * 60}, first=7, missing="memory")) == [("resolved", "memory")]
    assert events(engine, job, scored({"a": [0.1] * 10}, first=67, missing="memory")) == []


def test_an_entity_ages_out_though_absence_is_never_to_alert(engine: AlertPipeline, job: Job, scored: Rows) -> None:
    quiet = job.model_copy(update={"alerts": job.alerts.model_copy(update={"absent_after": None})})
    events(engine, quiet, scored({"a": [0.1], "b": [0.1]}))
    assert events(engine, quiet, scored({"a": [0.1] * 70}, first=1)) == []
    assert [row["entity"] for row in CursorRepository(engine.store).of_job(job.name)] == ["a"]


def test_a_series_that_never_was_there_is_not_missed(engine: AlertPipeline, job: Job, scored: Rows) -> None:
    assert events(engine, job, scored({"a": [0.1] * 20}, missing="memory")) == []


# -- partial answers ---------------------------------------------------------------------------------------
def partial(rows: ScoredRows) -> ScoredRows:
    return replace(rows, partial=("store-2 is down",))


def test_no_absence_is_concluded_from_a_partial_answer(engine: AlertPipeline, job: Job, scored: Rows) -> None:
    events(engine, job, scored({"a": [0.1], "b": [0.1]}))
    assert events(engine, job, partial(scored({"a": [0.1] * 8}, first=1))) == []
    assert events(engine, job, partial(scored({"a": [0.1] * 8}, first=9, missing="memory"))) == []
    assert AlertRepository(engine.store).list().alerts == []


def test_nothing_is_forgotten_because_of_a_partial_answer(engine: AlertPipeline, job: Job, scored: Rows) -> None:
    events(engine, job, scored({"a": [0.1], "b": [0.1]}))
    events(engine, job, partial(scored({"a": [0.1] * 90}, first=1)))
    events(engine, job, scored({"a": [0.1] * 2, "b": [0.1] * 2}, first=91))
    assert {row["entity"] for row in CursorRepository(engine.store).of_job(job.name)} == {"a", "b"}


def test_the_first_whole_answer_tells_who_is_absent(engine: AlertPipeline, job: Job, scored: Rows) -> None:
    events(engine, job, scored({"a": [0.1], "b": [0.1]}))
    events(engine, job, partial(scored({"a": [0.1] * 8}, first=1)))
    assert events(engine, job, scored({"a": [0.1]}, first=9)) == [("opened", "")]


def test_an_absent_alert_stays_in_partial_answers_until_samples_arrive(
    engine: AlertPipeline, job: Job, scored: Rows
) -> None:
    events(engine, job, scored({"a": [0.1], "b": [0.1]}))
    assert events(engine, job, scored({"a": [0.1] * 8}, first=1)) == [("opened", "")]
    assert events(engine, job, partial(scored({"a": [0.1] * 90}, first=9))) == []
    assert events(engine, job, partial(scored({"a": [0.1], "b": [0.1]}, first=99))) == [("resolved", "")]


def test_the_alert_of_a_series_stays_in_partial_answers_until_it_is_back(
    engine: AlertPipeline, job: Job, scored: Rows
) -> None:
    events(engine, job, scored({"a": [0.1]}))
    assert events(engine, job, scored({"a": [0.1] * 8}, first=1, missing="memory")) == [("opened", "memory")]
    assert events(engine, job, partial(scored({"b": [0.1] * 20}, first=9))) == []
    assert events(engine, job, partial(scored({"a": [0.1]}, first=29, missing="memory"))) == []
    assert events(engine, job, partial(scored({"a": [0.1]}, first=30))) == [("resolved", "memory")]
