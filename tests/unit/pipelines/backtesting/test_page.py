"""The page of a backtest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from foreshock_pipelines.backtesting.outcome import Outcome, ReplayedAlert
from foreshock_pipelines.backtesting.page import render
from foreshock_pipelines.backtesting.report import BacktestReport
from foreshock_pipelines.scoring.causes import Cause

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def report() -> BacktestReport:
    """Two entities over ten hours; one alert, known, on the one with the awkward name."""
    name = 'web<"1">'
    cause = Cause("cpu", 0.8, 0.97, 0.3, 0.2, 0.4)
    alert = ReplayedAlert(name, START + 5 * HOUR, START + 6 * HOUR, 2.4, [cause], known=True)
    outcome = Outcome("present", "3 of 5", "1 per week", [alert], 2.4, 8.4, 1.0, 1.0, timedelta(minutes=7))
    calm = np.full(601, 0.2)
    high = calm.copy()
    high[300:360] = 2.4
    return BacktestReport(
        "web", START, START + 10 * HOUR, 60.0, 1202, 2, 1, "1 per week", [outcome], {"calm-1": calm, name: high},
        {name: [(START + 5 * HOUR, START + 6 * HOUR)]},
    )  # fmt: skip


def test_the_page_needs_nothing_from_outside() -> None:
    page = render(report())
    for word in ("http://", "https://", "src=", "@import", "url("):
        assert word not in page


def test_names_are_text_and_never_markup() -> None:
    page = render(report())
    assert 'web<"1">' not in page
    assert "web&lt;&#34;1&#34;&gt;" in page


def test_a_lane_shows_score_alert_and_label_where_they_were() -> None:
    lane = render(report()).split('title="web&lt;')[1]
    assert 'class="far" style="left:50.0' in lane
    assert 'class="p0" style="left:50.0%;width:10.000%"' in lane
    assert 'class="known" style="left:50.0%;width:10.000%"' in lane


def test_each_alert_says_when_on_what_and_why() -> None:
    page = render(report())
    assert "2026-03-01 05:00" in page
    assert "cpu 80%" in page
    assert "observed 0.97, expected 0.3" in page
