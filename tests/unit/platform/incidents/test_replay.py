"""Incidents of alerts that would have fired."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from foreshock.incidents.replay import agreement, replay_incidents
from foreshock_models.errors import ConfigError
from foreshock_pipelines.backtesting.outcome import ReplayedAlert
from foreshock_pipelines.datasets.labels import read_incidents
from foreshock_pipelines.jobfile import parse_job

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
JOB = parse_job(
    "name: shop\nsource: {prometheus: http://localhost:9090}\nqueries: {latency: latency}\n"
    "entity: [service]\ntopology: {calls: {web: [api], api: [db], mail: [queue]}}\n"
)


def alert(node: str, minute: float) -> ReplayedAlert:
    opened = NOON + timedelta(minutes=minute)
    return ReplayedAlert(node, opened, opened + timedelta(minutes=5), 1.5, [])


CASCADE = [alert("db", 0), alert("api", 1), alert("web", 2), alert("queue", 2)]


def test_a_cascade_that_would_have_fired_is_one_incident_with_reasons() -> None:
    found = replay_incidents(JOB, CASCADE)
    assert [incident.nodes for incident in found.incidents] == [("db", "api", "web"), ("queue",)]
    assert found.incidents[0].why[1].startswith("joined: depends on db")
    assert found.pages_saved == 0.5
    assert found.agreement is None


def test_known_incidents_judge_the_correlation() -> None:
    span = (NOON - timedelta(minutes=1), NOON + timedelta(minutes=9))
    known = {node: [(*span, "fault")] for node in ("db", "api", "web", "queue")}
    agreed = replay_incidents(JOB, CASCADE, known).agreement
    assert agreed is not None
    assert (agreed.precision, agreed.recall) == (1.0, 0.5)  # three of six pairs are together


def test_an_alert_outside_of_known_incidents_is_one_of_its_own() -> None:
    known = {node: [(NOON, NOON + timedelta(minutes=9), "fault")] for node in ("db", "api")}
    agreed = replay_incidents(JOB, [*CASCADE[:3], alert("db", 600)], known).agreement
    assert agreed is not None
    assert agreed.precision == pytest.approx(1 / 3)
    assert agreed.recall == 1.0


def test_no_alert_is_no_incident() -> None:
    assert replay_incidents(JOB, []).as_dict() == {
        "count": 0, "pages_saved": 0.0, "pairwise": None, "incidents": []
    }  # fmt: skip


def test_agreement_is_whole_where_all_pairs_agree() -> None:
    truth = {"a": "1", "b": "1", "c": "2"}
    assert agreement(truth, {"a": "x", "b": "x", "c": "y"}).f1 == 1.0
    assert agreement(truth, {"a": "x", "b": "y", "c": "y"}).f1 == 0.0


def test_alerts_that_are_all_alone_and_rightly_so_agree_in_full() -> None:
    apart = {"a": "1", "b": "2"}
    assert agreement(apart, apart).f1 == 1.0
    assert agreement(apart, {"a": "x", "b": "x"}).f1 == 0.0
    assert agreement({"a": "1", "b": "1"}, apart).f1 == 0.0


def test_labels_may_name_incidents_or_not(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    head, rows = "start,end,service,incident\n", "2026-01-01,2026-01-02,db,x\n2026-01-03,2026-01-04,db,\n"
    file.write_text(head + rows)
    assert [name for _, _, name in read_incidents(file, ["service"])["db"]] == ["x"]
    file.write_text("start,end,service\n2026-01-01,2026-01-02,db\n")
    assert read_incidents(file, ["service"]) == {}
    file.write_text("start,end\n")
    with pytest.raises(ConfigError, match="labels need the columns start, end, service"):
        read_incidents(file, ["service"])
