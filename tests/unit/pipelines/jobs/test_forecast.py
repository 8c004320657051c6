"""The forecast job: over entities and features, in this process and on Ray."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from foreshock_models.errors import ConfigError, DataError, NotEnoughData
from foreshock_pipelines.datasets.windows import Windows
from foreshock_pipelines.forecasting.capacity import capacity
from foreshock_pipelines.forecasting.report import COLUMNS
from foreshock_pipelines.jobfile import Job, parse_job
from foreshock_pipelines.jobs.forecast import forecast_windows

HOURS = 14 * 24
DAY = timedelta(hours=24)
JOB = """
name: disks
source: {parquet: fleet.parquet}
queries:
  load: {query: load, valid_range: [0, 100]}
  disk: {query: disk, valid_range: [0, 100], exhaustion: {limit: 95%, within: 48h}}
entity: [instance]
step: 1h
"""


@pytest.fixture(scope="module")
def job() -> Job:
    return parse_job(JOB)


@pytest.fixture(scope="module")
def windows() -> Windows:
    """Two hosts and one that fell silent; the disk of the first fills in 25 hours."""
    rng = np.random.default_rng(0)
    hours = np.arange(HOURS)
    load = [50 - 30 * np.cos(2 * np.pi * hours / 24) + rng.normal(size=HOURS) for _ in range(3)]
    fills = 90 - 0.2 * hours[::-1] + 0.2 * rng.normal(size=HOURS)
    steady = 40 + 0.2 * rng.normal(size=HOURS)
    dead = np.where(hours < 100, 40.0, np.nan)
    load[2] = np.where(hours < 100, load[2], np.nan)
    return Windows.build(
        np.tile(1_770_000_000_000 // 3_600_000 * 3_600_000 + hours * 3_600_000, 3),
        {"instance": np.repeat(["a", "b", "dead"], HOURS)},
        {"load": np.concatenate(load), "disk": np.concatenate([fills, steady, dead])},
        step=3600,
        job="disks",
    )


def test_each_series_has_a_row_for_each_time_with_its_interval(windows: Windows, job: Job) -> None:
    calls: list[tuple[int, int]] = []
    report = forecast_windows(windows, job, DAY, "arima", lambda done, total: calls.append((done, total)))
    assert tuple(report.frame.columns) == COLUMNS
    assert len(report.frame) == 4 * 24
    one = report.series("a", "load")
    assert one["timestamp"].iloc[0] == pd.Timestamp(windows.end) + pd.Timedelta(hours=1)
    assert (one["lower"] <= one["point"]).all()
    assert (one["point"] <= one["upper"]).all()
    assert calls[-1] == (6, 6)
    assert "4 series, 24 h ahead, 2 skipped" in repr(report)
    assert "<table" in report._repr_html_()


def test_a_series_that_cannot_be_forecast_says_why(windows: Windows, job: Job) -> None:
    report = forecast_windows(windows, job, DAY, "seasonal_naive")
    assert set(report.skipped) == {("dead", "load"), ("dead", "disk")}
    with pytest.raises(DataError, match="no forecast of disk of dead: no sample in the last"):
        report.series("dead", "disk")


@pytest.mark.parametrize(
    ("silent", "absent_after", "skipped"),
    [(1, "5m", False), (2, "5m", False), (4, "5m", True), (4, "6h", False), (8, "6h", True), (8, "null", False),
     (12, "null", True)],
)  # fmt: skip
def test_a_series_that_is_absent_at_the_end_is_not_forecast(
    windows: Windows, silent: int, absent_after: str, skipped: bool
) -> None:
    job = parse_job(JOB + f"alerts: {{absent_after: {absent_after}}}\n")
    frame = windows.select(["a", "b"]).to_pandas()
    last = frame["timestamp"].max() - pd.Timedelta(hours=silent)
    frame.loc[(frame["instance"] == "a") & (frame["timestamp"] > last), "disk"] = np.nan
    cut = Windows.from_pandas(frame, entity=["instance"], step=3600, job="disks")
    report = forecast_windows(cut, job, timedelta(hours=2), "seasonal_naive")
    assert (("a", "disk") in report.skipped) == skipped
    assert ("a" in set(capacity(report)["entity"])) != skipped
    if skipped:
        assert f"the newest is of {last:%Y-%m-%d %H:%M} UTC" in report.skipped["a", "disk"]


def test_what_no_course_reaches_is_not_called_four_percent_likely(windows: Windows, job: Job) -> None:
    first, second = capacity(forecast_windows(windows, job, DAY, "arima")).to_dict("records")
    assert second["now"] == pytest.approx(40, abs=1)
    assert second["chance"].startswith("under ")
    assert first["chance"].startswith("over ")


def test_what_fills_is_first_in_the_capacity_report(windows: Windows, job: Job) -> None:
    found = capacity(forecast_windows(windows, job, DAY, "arima"))
    assert found["entity"].tolist() == ["a", "b"]
    first, second = found.to_dict("records")
    assert 20 < first["lower_hours"] <= first["hours"] <= first["upper_hours"] < 30
    assert first["alert"]
    assert first["limit"] == 95.0
    assert np.isinf(second["hours"])
    assert not second["alert"]


def test_features_without_a_rule_are_not_in_the_capacity_report(windows: Windows, job: Job) -> None:
    assert set(capacity(forecast_windows(windows, job, DAY, "seasonal_naive"))["feature"]) == {"disk"}


def test_bad_input_is_refused_with_what_to_do(windows: Windows, job: Job) -> None:
    with pytest.raises(DataError, match=r"longer than the history of 14 days.*; ask for less, or read more"):
        forecast_windows(windows, job, timedelta(days=15))
    with pytest.raises(DataError, match="must be longer than 0"):
        forecast_windows(windows, job, timedelta(0))
    with pytest.raises(ConfigError, match="no forecaster 'arma'; did you mean 'arima'"):
        forecast_windows(windows, job, DAY, "arma")
    with pytest.raises(NotEnoughData, match=r"nothing to forecast: .* of a: .*24 are needed; take a"):
        forecast_windows(windows.between(end=windows.start + timedelta(hours=9)), job, timedelta(hours=2))
