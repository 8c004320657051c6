"""The latest forecasts in the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.servers.stores import empty_tables

from foreshock.forecasts.repository import ForecastRepository, SeriesForecast
from foreshock.store import open_store

HOUR = 3_600_000
ROWS = np.array([[1.0, 0.5, 1.5], [2.0, 1.0, 3.0]])


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def forecasts(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ForecastRepository]:
    url = f"sqlite:///{tmp_path}/store.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    store = open_store(url)
    empty_tables(store)
    yield ForecastRepository(store)
    store.close()


def one(entity: str, feature: str = "cpu", **more: object) -> SeriesForecast:
    fields = {"start_ms": 10 * HOUR, "step": 3600.0, "level": 0.8, "rows": ROWS, "method": "arima", **more}
    return SeriesForecast("node", entity, feature, 9 * HOUR, **fields)  # type: ignore[arg-type]


def test_a_forecast_is_read_back_bit_for_bit(forecasts: ForecastRepository) -> None:
    exhaustion = {"seconds": 5400.0, "lower": 3600.0, "upper": None, "limit": 0.95, "probability": 0.9}
    forecasts.replace("node", [one("a", wape=0.1, exhaustion=exhaustion), one("b", skipped="no sample")])
    first, second = forecasts.find("node")
    np.testing.assert_array_equal(first.rows, ROWS)
    assert (first.wape, first.exhaustion, first.step) == (0.1, exhaustion, 3600.0)
    assert np.isnan(second.wape)
    assert second.skipped == "no sample"
    assert second.exhaustion is None


def test_a_new_forecast_takes_the_place_of_the_old_one_of_its_job_alone(forecasts: ForecastRepository) -> None:
    other = SeriesForecast("other", "x", "cpu", 0)
    forecasts.replace("other", [other])
    forecasts.replace("node", [one("a"), one("gone")])
    forecasts.replace("node", [one("a")])
    assert [(f.job, f.entity) for f in forecasts.find()] == [("node", "a"), ("other", "x")]


def test_they_are_found_by_entity_and_feature_and_page_by_page(forecasts: ForecastRepository) -> None:
    forecasts.replace("node", [one(e, f) for e in ("a", "b") for f in ("cpu", "disk")])
    assert [f.feature for f in forecasts.find("node", entity="b")] == ["cpu", "disk"]
    assert [f.entity for f in forecasts.find("node", feature="disk")] == ["a", "b"]
    page = forecasts.find("node", limit=3)
    rest = forecasts.find("node", after=(page[-1].entity, page[-1].feature))
    assert [(f.entity, f.feature) for f in rest] == [("b", "disk")]
    assert forecasts.entities("node") == ["a", "b"]


def test_a_time_finds_its_row(forecasts: ForecastRepository) -> None:
    forecast = one("a")
    assert forecast.at(11 * HOUR + 5) is not None
    np.testing.assert_array_equal(forecast.at(11 * HOUR + 5), ROWS[1])
    assert forecast.at(12 * HOUR) is None
    assert forecast.at(10 * HOUR - 1) is None


def test_when_it_runs_out_is_a_time(forecasts: ForecastRepository) -> None:
    found = one("a", exhaustion={"seconds": 7200.0, "lower": 3600.0, "upper": None})
    assert found.exhausted_ms() == 12 * HOUR
    assert found.exhausted_ms("upper") == float("inf")
    assert one("a").exhausted_ms() is None
