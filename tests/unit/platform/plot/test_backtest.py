from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from foreshock import plot
from foreshock_models.errors import DataError
from foreshock_pipelines.backtesting.outcome import Outcome, ReplayedAlert
from foreshock_pipelines.backtesting.report import BacktestReport

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def report() -> BacktestReport:
    alert = ReplayedAlert("b", START + 3 * HOUR, START + 4 * HOUR, 1.4, [], True)
    line = np.full(1441, 0.2)
    line[180:240] = 1.4
    lanes = {"a": np.full(1441, np.nan), "b": line, "c": np.full(1441, 0.2)}
    return BacktestReport(
        "demo", START, START + 24 * HOUR, 60.0, 4323, 3, 1, "1 per week",
        [
            Outcome("present", "3 of 5", "1 per week", [alert], 1.0, 2.3),
            Outcome("proposed", "3 of 5", "1 per day", [], 0, 0),
        ],
        lanes, {"b": [(START + 3 * HOUR, START + 4 * HOUR)]},
    )  # fmt: skip


def test_entities_with_an_alert_or_a_known_anomaly_have_a_lane(report: BacktestReport) -> None:
    figure = plot.backtest(report)
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["b"]
    names = {text.get_text() for text in figure.legends[0].texts}
    assert {"alerts: present", "alerts: proposed", "known anomaly"} <= names


def test_several_reports_are_told_apart_by_name(report: BacktestReport) -> None:
    figure = plot.backtest({"champion": report, "challenger": report}, entities=["a", "b"])
    assert "alerts: challenger present" in {text.get_text() for text in figure.legends[0].texts}


def test_an_unknown_entity_is_named(report: BacktestReport) -> None:
    with pytest.raises(DataError, match="no entity 'z'"):
        plot.backtest(report, entities=["z"])


def test_a_report_says_how_many_alerts_and_becomes_a_frame(report: BacktestReport) -> None:
    assert "1 alerts (present), 0 alerts (proposed)" in repr(report)
    assert report.to_pandas()["entity"].tolist() == ["b"]
    assert report.summary()["alerts"].tolist() == [1, 0]
    assert "<table" in report._repr_html_()
