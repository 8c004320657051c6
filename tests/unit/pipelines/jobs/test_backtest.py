"""Backtest: a replay that does not look ahead, and what it says."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foreshock_models.errors import ConfigError, DataError, NotEnoughData
from foreshock_pipelines.backtesting.report import BacktestReport
from foreshock_pipelines.datasets.windows import Windows
from foreshock_pipelines.jobfile import Job, load_job
from foreshock_pipelines.jobs.backtest import backtest


@pytest.fixture(scope="module")
def job(trained: Any) -> Job:
    """The small fleet, learning from a day; its last three hours hold incidents."""
    found: Job = trained.job.model_copy(update={"history": timedelta(days=1)})
    return found


@pytest.fixture(scope="module")
def end(trained: Any) -> datetime:
    last: datetime = trained.windows.end
    return last


@pytest.fixture(scope="module")
def labels(trained: Any) -> dict[str, list[tuple[datetime, datetime]]]:
    return {incident.entity: [(incident.start, incident.end)] for incident in trained.incidents}


@pytest.fixture(scope="module")
def replayed(job: Job, end: datetime, labels: Any) -> BacktestReport:
    """The last ten hours, fitted three times."""
    return backtest(job, end - timedelta(hours=10), end, refit=timedelta(hours=4), labels=labels)


def with_another_future(trained: Any, folder: Path, since: datetime) -> Job:
    """The same job on the same rows, all of them changed from `since` on."""
    frame = trained.windows.to_pandas().reset_index()
    later = frame["timestamp"] >= since
    for name in trained.windows.features:
        frame.loc[later, name] = frame.loc[later, name] * 3 + 1
    Windows.from_pandas(frame, entity=["instance"], step=60.0).write_parquet(folder / "fleet.parquet")
    (folder / "small.yaml").write_text(trained.file.read_text().replace("step: 60s", "step: 60s\nhistory: 1d"))
    return load_job(folder / "small.yaml")


def test_nothing_before_a_time_depends_on_what_comes_after_it(
    trained: Any, replayed: BacktestReport, end: datetime, tmp_path: Path
) -> None:
    cut = end - timedelta(hours=5, minutes=30)  # in the middle of a stretch: a fit before it, and two after
    changed = with_another_future(trained, tmp_path, cut)
    other = backtest(changed, end - timedelta(hours=10), end, refit=timedelta(hours=4))
    rows = round((cut - replayed.start) / timedelta(minutes=1))
    differs = False
    for entity, scores in replayed.timelines.items():
        np.testing.assert_array_equal(scores[:rows], other.timelines[entity][:rows])
        differs |= not np.array_equal(scores[rows:], other.timelines[entity][rows:], equal_nan=True)
    assert differs
    before = [[a for a in report.policies[0].alerts if a.opened < cut] for report in (replayed, other)]
    assert [(a.entity, a.opened, a.causes) for a in before[0]] == [
        (a.entity, a.opened, a.causes) for a in before[1]
    ]


def test_it_is_fitted_anew_as_often_as_was_asked(job: Job, replayed: BacktestReport, end: datetime) -> None:
    once = backtest(job, end - timedelta(hours=10), end)
    assert (once.fits, replayed.fits) == (1, 3)
    until_refit = 4 * 60
    entity = next(iter(once.timelines))
    np.testing.assert_array_equal(once.timelines[entity][:until_refit], replayed.timelines[entity][:until_refit])
    assert not np.array_equal(once.timelines[entity][until_refit:], replayed.timelines[entity][until_refit:])


def hits(report: BacktestReport, incident: Any) -> list[Any]:
    """Alerts that were open during an incident."""
    alerts = report.policies[0].by_entity.get(incident.entity, [])
    return [a for a in alerts if a.opened <= incident.end and (a.resolved or report.end) >= incident.start]


def test_against_labels_there_are_precision_recall_and_delay(trained: Any, replayed: BacktestReport) -> None:
    outcome = replayed.policies[0]
    found = {incident.entity: hits(replayed, incident) for incident in trained.incidents}
    known = [alert for alerts in found.values() for alert in alerts]
    assert outcome.recall == sum(map(bool, found.values())) / len(found) >= 0.5
    assert outcome.precision == len(known) / len(outcome.alerts)
    assert [a for a in outcome.alerts if a.known] == sorted(known, key=lambda a: a.opened)
    assert outcome.delay is not None
    assert timedelta(0) <= outcome.delay < timedelta(minutes=30)


def test_alerts_carry_the_features_that_drove_them(trained: Any, replayed: BacktestReport) -> None:
    found = [(incident, hits(replayed, incident)) for incident in trained.incidents]
    causes = [alerts[0].causes[0].feature in incident.causes for incident, alerts in found if alerts]
    assert len(causes) >= 2
    assert all(causes)


def test_a_proposed_policy_is_replayed_on_the_same_scores(job: Job, end: datetime) -> None:
    strict = job.model_copy(
        update={"alerts": job.alerts.model_copy(update={"for_": job.alerts.for_.model_copy(update={"needed": 5})})}
    )
    alone = backtest(job, end - timedelta(hours=6), end)
    both = backtest(job, end - timedelta(hours=6), end, proposed=strict)
    present, proposed = both.policies
    assert (present.name, present.votes, proposed.name, proposed.votes) == (
        "present",
        "3 of 5",
        "proposed",
        "5 of 5",
    )
    assert present.alerts == alone.policies[0].alerts
    assert len(proposed.alerts) <= len(present.alerts)
    assert proposed.alerts != present.alerts


def test_a_larger_budget_brings_no_fewer_alerts(job: Job, end: datetime) -> None:
    loose = job.model_copy(update={"false_alerts": "5 per day"})
    present, proposed = backtest(job, end - timedelta(hours=10), end, proposed=loose).policies
    assert proposed.budget == "5 per day"
    assert len(proposed.alerts) >= len(present.alerts)


def test_an_alert_over_a_refit_is_one(job: Job, replayed: BacktestReport) -> None:
    for alerts in replayed.policies[0].by_entity.values():
        for first, second in pairwise(alerts):
            assert first.resolved is not None
            assert first.resolved < second.opened


def test_the_report_is_json_with_counts_per_entity(replayed: BacktestReport) -> None:
    found = json.loads(json.dumps(replayed.as_dict()))
    outcome = found["policies"][0]
    assert sum(outcome["by_entity"].values()) == len(outcome["alerts"]) == len(replayed.policies[0].alerts)
    assert outcome["alerts_per_day"] == pytest.approx(len(outcome["alerts"]) / (10 / 24), abs=1e-3)
    assert {"entity", "opened", "resolved", "score", "known", "causes"} <= set(outcome["alerts"][0])


# -- bad input ------------------------------------------------------------------------------------------------
def test_a_start_after_the_end_is_refused(job: Job, end: datetime) -> None:
    with pytest.raises(ConfigError, match="must be before the end"):
        backtest(job, end, end - timedelta(hours=1))


def test_nothing_to_learn_from_before_the_start_is_said(job: Job, trained: Any) -> None:
    first = trained.windows.start
    with pytest.raises(NotEnoughData):
        backtest(job, first, first + timedelta(hours=2))


def test_labels_that_overlap_nothing_are_refused(job: Job, end: datetime) -> None:
    when = datetime(2020, 1, 1, tzinfo=UTC)
    with pytest.raises(DataError, match="no label overlaps the rows"):
        backtest(job, end - timedelta(hours=2), end, labels={"host-01": [(when, when)]})


def test_a_proposed_policy_for_other_queries_is_refused(job: Job, end: datetime) -> None:
    other = job.model_copy(update={"queries": {"cpu": job.queries["cpu"]}})
    with pytest.raises(ConfigError, match="only budget, rules and alerts may differ"):
        backtest(job, end - timedelta(hours=2), end, proposed=other)
