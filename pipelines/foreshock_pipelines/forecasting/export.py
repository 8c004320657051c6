"""Forecasts as series for remote write: at their future times, or as gauges of now where those are refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit, urlunsplit

import numpy as np
import pandas as pd

from foreshock_models.errors import HttpError
from foreshock_pipelines.datasets.entity_key import entity_labels
from foreshock_pipelines.forecasting.report import ForecastReport
from foreshock_pipelines.jobfile import Job, format_duration
from foreshock_pipelines.prometheus.labels import exported_labels
from foreshock_pipelines.prometheus.remote_write import RemoteWriter, TimeSeries

__all__ = [
    "HORIZONS",
    "NAME",
    "WrittenForecasts",
    "accepts_future_samples",
    "exhaustion_series",
    "forecast_gauges",
    "forecast_series",
    "write",
]

NAME = "foreshock_forecast"
BOUNDS = {"point": NAME, "lower": f"{NAME}_lower", "upper": f"{NAME}_upper"}
HORIZONS = (timedelta(hours=1), timedelta(hours=6), timedelta(hours=24))
"""Of the gauges."""


@dataclass(frozen=True)
class WrittenForecasts:
    """The form in which forecasts were written, ``future`` or ``gauges``, the samples, and those refused."""

    form: str
    samples: int
    refused: int = 0
    reason: str = ""


def write(writer: RemoteWriter, report: ForecastReport, job: Job, now_ms: int) -> WrittenForecasts:
    """Write a forecast at its future time where the receiver takes the future, else as gauges of now.

    Raises
    ------
    WriteError
        The receiver is down, too slow or does not let us in.
    """
    extra = list(exhaustion_series(report, job, now_ms))
    reason = "it is not known to take samples of the future"
    if accepts_future_samples(writer):
        done = writer.write([*forecast_series(report, job), *extra], tries=3)
        if done.samples > len(extra) * 2:
            return WrittenForecasts("future", done.samples, done.refused, done.reason)
        reason = done.reason
    done = writer.write([*forecast_gauges(report, job, now_ms), *extra], tries=3)
    return WrittenForecasts("gauges", done.samples, done.refused, reason)


def accepts_future_samples(writer: RemoteWriter) -> bool:
    """Return True if a receiver accepts samples of tomorrow: as the job file says, else if it is a VictoriaMetrics.

    It is asked, not tried: Prometheus 2.42, for one, takes a sample of tomorrow, and then refuses all of today
    for being too old.
    """
    if writer.config.future is not None:
        return writer.config.future
    parts = urlsplit(writer.config.url)
    url = urlunsplit(parts._replace(path="/-/healthy", query=""))
    try:
        answer = writer.http.request("GET", url, timeout=writer.config.timeout.total_seconds(), read_only=True)
    except HttpError:
        return False  # the write will say what is wrong
    return "VictoriaMetrics" in answer.text[:200]


def forecast_series(report: ForecastReport, job: Job) -> Iterator[TimeSeries]:
    """``foreshock_forecast`` and its ends, ``_lower`` and ``_upper``, each value at the time that it is about."""
    for labels, rows in _groups(report, job):
        times = rows["timestamp"].to_numpy("datetime64[ms]").astype(np.int64)
        for bound, name in BOUNDS.items():
            yield TimeSeries.of(name, labels, times, rows[bound].to_numpy())


def forecast_gauges(
    report: ForecastReport, job: Job, now_ms: int, horizons: Sequence[timedelta] = HORIZONS
) -> Iterator[TimeSeries]:
    """``foreshock_forecast{horizon="1h"}``: what is expected in an hour, at the time of now."""
    for labels, rows in _groups(report, job):
        times = rows["timestamp"].to_numpy("datetime64[ms]").astype(np.int64)
        start = int(times[0])
        for horizon in horizons:
            ahead = start + round(horizon.total_seconds() * 1000)
            row = int(np.searchsorted(times, ahead, side="left")) - 1  # the row that ends there
            if row < 0 or horizon > report.horizon:
                continue
            for bound, name in BOUNDS.items():
                more = {**labels, "horizon": format_duration(horizon)}
                yield TimeSeries.of(name, more, [now_ms], [rows[bound].to_numpy()[row]])


def exhaustion_series(report: ForecastReport, job: Job, now_ms: int) -> Iterator[TimeSeries]:
    """``foreshock_seconds_to_exhaustion`` with its ends, and ``foreshock_exhaustion_probability``."""
    for one in report.exhaustion:
        labels = _labels(job, one.entity, one.feature)
        name = "foreshock_seconds_to_exhaustion"
        for suffix, seconds in (("", one.seconds), ("_lower", one.lower), ("_upper", one.upper)):
            yield TimeSeries.of(f"{name}{suffix}", labels, [now_ms], [np.inf if seconds is None else seconds])
        yield TimeSeries.of("foreshock_exhaustion_probability", labels, [now_ms], [one.probability])


def _groups(report: ForecastReport, job: Job) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    for (entity, feature), rows in report.frame.groupby(["entity", "feature"], sort=True):
        yield _labels(job, str(entity), str(feature)), rows


def _labels(job: Job, entity: str, feature: str) -> dict[str, str]:
    return {**exported_labels(entity_labels(entity, job.entity)), "job": job.name, "feature": feature}
