"""Forecasts written back, to the receivers that people run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from tests.servers import servers

from foreshock_models.errors import WriteError
from foreshock_models.forecasters import TimeToExhaustion
from foreshock_pipelines.datasets.entity_key import entity_key
from foreshock_pipelines.forecasting.export import accepts_future_samples, forecast_gauges, forecast_series, write
from foreshock_pipelines.forecasting.report import ForecastReport
from foreshock_pipelines.jobfile import Job, WriteConfig, parse_job
from foreshock_pipelines.prometheus.remote_write import RemoteWriter


@pytest.fixture(scope="module")
def job() -> Job:
    return parse_job(
        "name: node\nsource: {prometheus: 'http://localhost:9090'}\nentity: [instance, region]\n"
        "queries: {disk: {query: disk, exhaustion: {limit: 95%}}}\n"
    )


@pytest.fixture(scope="module")
def forecast(job: Job) -> ForecastReport:
    """24 hours from now on; the value of an hour is its number."""
    entity = entity_key({"instance": "web-1", "region": "eu"})
    start = pd.Timestamp(datetime.now(UTC)).floor("s")
    frame = pd.DataFrame(
        {
            "entity": entity, "feature": "disk", "timestamp": start + pd.to_timedelta(np.arange(24), unit="h"),
            "point": np.arange(24.0), "lower": np.arange(24.0) - 1, "upper": np.arange(24.0) + 1,
            "method": "arima", "wape": 0.1, "baseline_wape": 0.2,
        }
    )  # fmt: skip
    left = TimeToExhaustion(entity, "disk", 0.95, "up", 0.8, 7200.0, 3600.0, None, 0.9, 86400.0, 86400.0)
    return ForecastReport("node", frame, 0.8, timedelta(hours=24), datetime.now(UTC), (left,))


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with servers.prometheus(
        tmp_path_factory.mktemp("prometheus"), args=["--web.enable-remote-write-receiver"]
    ) as url:
        yield url


@pytest.fixture(scope="module")
def victoria_metrics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with servers.victoria_metrics(tmp_path_factory.mktemp("victoria")) as url:
        yield url


def writer(url: str) -> RemoteWriter:
    return RemoteWriter(WriteConfig(url=f"{url}/api/v1/write"))


def test_a_receiver_that_is_down_is_named(job: Job, forecast: ForecastReport) -> None:
    with pytest.raises(WriteError, match="not written: no answer after 3 tries"):
        write(writer("http://127.0.0.1:1"), forecast, job, 0)


def test_the_job_file_decides_whether_the_future_is_written() -> None:
    url = "http://127.0.0.1:1/api/v1/write"
    assert accepts_future_samples(RemoteWriter(WriteConfig(url=url, future=True)))
    assert not accepts_future_samples(RemoteWriter(WriteConfig(url=url)))


def test_a_horizon_that_the_forecast_does_not_reach_has_no_gauge(job: Job, forecast: ForecastReport) -> None:
    gauges = forecast_gauges(forecast, job, 0, [timedelta(hours=1), timedelta(hours=48)])
    assert {one.labels["horizon"] for one in gauges} == {"1h"}


def test_an_entity_label_called_job_is_written_as_exported(job: Job, forecast: ForecastReport) -> None:
    entity = entity_key({"job": "web", "instance": "web-1"})
    report = replace(forecast, frame=forecast.frame.assign(entity=entity))
    first = next(iter(forecast_series(report, job.model_copy(update={"entity": ["job", "instance"]}))))
    assert first.labels == {
        "__name__": "foreshock_forecast", "instance": "web-1", "exported_job": "web", "job": "node",
        "feature": "disk",
    }  # fmt: skip


def test_a_series_carries_the_labels_of_its_entity(job: Job, forecast: ForecastReport) -> None:
    first = next(iter(forecast_series(forecast, job)))
    assert first.labels == {
        "__name__": "foreshock_forecast", "instance": "web-1", "region": "eu", "job": "node", "feature": "disk"
    }  # fmt: skip
