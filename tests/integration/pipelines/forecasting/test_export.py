"""Forecasts written back, to the receivers that people run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from tests.servers import servers

from foreshock_models.forecasters import TimeToExhaustion
from foreshock_pipelines.datasets.entity_key import entity_key
from foreshock_pipelines.forecasting.export import write
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


def ask(url: str, query: str, at: float) -> dict[str, float]:
    """Value by labels, once there is one."""
    for _ in range(100):
        params = {"query": query, "time": f"{at:.3f}"}
        result: list[dict[str, Any]] = httpx.get(f"{url}/api/v1/query", params=params).json()["data"]["result"]
        if result:
            return {
                ",".join(f"{k}={v}" for k, v in sorted(r["metric"].items())): float(r["value"][1]) for r in result
            }
        time.sleep(0.1)
    return {}


@pytest.mark.prometheus
def test_victoria_metrics_holds_the_forecast_at_the_times_that_it_is_about(
    victoria_metrics: str, job: Job, forecast: ForecastReport
) -> None:
    done = write(writer(victoria_metrics), forecast, job, round(time.time() * 1000))
    assert (done.form, done.samples, done.refused) == ("future", 3 * 24 + 4, 0)
    start = forecast.frame["timestamp"].iloc[0].timestamp()
    labels = "feature=disk,instance=web-1,job=node,region=eu"
    assert ask(victoria_metrics, "foreshock_forecast", start + 6 * 3600) == {
        f"__name__=foreshock_forecast,{labels}": 6.0
    }
    assert list(ask(victoria_metrics, "foreshock_forecast_upper", start + 20 * 3600).values()) == [21.0]


@pytest.mark.prometheus
def test_prometheus_is_sent_no_future_but_gauges_of_now(
    prometheus: str, job: Job, forecast: ForecastReport
) -> None:
    done = write(writer(prometheus), forecast, job, round(time.time() * 1000))
    assert (done.form, done.samples, done.refused) == ("gauges", 3 * 3 + 4, 0)
    assert "not known to take samples of the future" in done.reason
    found = ask(prometheus, "foreshock_forecast", time.time())
    labels = "instance=web-1,job=node,region=eu"
    assert found == {
        f"__name__=foreshock_forecast,feature=disk,horizon={horizon},{labels}": value
        for horizon, value in (("1h", 0.0), ("6h", 5.0), ("1d", 23.0))
    }
    left = ask(prometheus, "foreshock_seconds_to_exhaustion", time.time())
    assert list(left.values()) == [7200.0]
    assert list(ask(prometheus, "foreshock_seconds_to_exhaustion_upper", time.time()).values()) == [float("inf")]
