"""``/ai/predictions`` and ``/ai/exhaustion``, and the gauges of forecasts."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI, Request
from starlette.responses import Response
from tests.servers.principals import asked_by

from foreshock.api.errors import Problem, problem_response
from foreshock.api.routers.forecasts import add_predictions, forecast_metrics
from foreshock.forecasts.repository import ForecastRepository, SeriesForecast
from foreshock.store import Store, open_store

HOUR = 3_600_000
NOW = round(time.time() * 1000)


@dataclass
class Client:
    """Asks an application in this process."""

    app: FastAPI

    def get(self, path: str, params: dict[str, Any]) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
                return await client.get(path, params=params)

        return asyncio.run(ask())


@dataclass
class Backend:
    store: Store
    jobs: dict[str, Any]


def series(entity: str, feature: str, hours_left: float | None = None, *, rule: bool = True) -> SeriesForecast:
    rows = np.arange(24, dtype=float)[:, None] + np.array([0.5, 0.0, 1.0])
    seconds = None if hours_left is None else hours_left * 3600
    exhaustion = {
        "entity": entity, "feature": feature, "limit": 0.95, "direction": "up", "level": 0.8, "seconds": seconds,
        "lower": seconds, "upper": None, "probability": 0.9, "within": 86400.0, "horizon": 86400.0,
    }  # fmt: skip
    return SeriesForecast(
        "node", entity, feature, NOW, NOW, 3600.0, 0.8, rows, "arima", 0.1, 0.2, exhaustion if rule else None
    )


@pytest.fixture
def backend(tmp_path: Path) -> Backend:
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    ForecastRepository(store).replace(
        "node",
        [
            series("a", "cpu", rule=False), series("a", "disk", 20.0), series("b", "disk", 5.0),
            series("c", "disk"), SeriesForecast("node", "d", "disk", NOW, skipped="no sample in the last 4 h"),
        ],
    )  # fmt: skip
    return Backend(store, {"node": None, "idle": None})


@pytest.fixture
def api(backend: Backend) -> Client:
    app = FastAPI()
    add_predictions(app, lambda: backend)

    @app.exception_handler(Problem)
    async def problem(request: Request, exc: Problem) -> Response:
        return problem_response(request, exc)

    return Client(asked_by(app))


def test_a_prediction_has_its_interval_method_and_backtest_error(api: Client) -> None:
    (found,) = api.get("/ai/predictions", params={"job": "node", "entity": "a", "feature": "cpu"}).json()[
        "predictions"
    ]
    assert found["point"][:2] == [0.5, 1.5]
    assert found["lower"][0] == 0.0
    assert found["upper"][0] == 1.0
    assert len(found["timestamps"]) == 24
    assert found["method"] == "arima"
    assert found["backtest"] == {"wape": 0.1, "seasonal_naive_wape": 0.2}
    assert (found["level"], found["step_seconds"]) == (0.8, 3600.0)


def test_a_horizon_cuts_it(api: Client) -> None:
    body = api.get("/ai/predictions", params={"job": "node", "entity": "a", "horizon": "6h"}).json()
    assert [len(one["point"]) for one in body["predictions"]] == [6, 6]


def test_pages_go_through_all_series_once(api: Client) -> None:
    seen, after = [], None
    for _ in range(3):
        query = {"job": "node", "limit": 2, **({"after": after} if after else {})}
        body = api.get("/ai/predictions", params=query).json()
        seen += [(one["entity"], one["feature"]) for one in body["predictions"]]
        after = body["next"]
    assert seen == [("a", "cpu"), ("a", "disk"), ("b", "disk"), ("c", "disk"), ("d", "disk")]
    assert after is None


def test_a_series_without_a_forecast_says_why(api: Client) -> None:
    (found,) = api.get("/ai/predictions", params={"job": "node", "entity": "d"}).json()["predictions"]
    assert found["point"] == []
    assert found["skipped"] == "no sample in the last 4 h"


def test_what_runs_out_first_is_first(api: Client) -> None:
    found = api.get("/ai/exhaustion", params={"job": "node"}).json()["exhaustion"]
    assert [one["entity"] for one in found] == ["b", "a", "c"]
    since = time.time() - NOW / 1000
    assert found[0]["seconds_left"]["seconds"] == pytest.approx(5 * 3600 - since, abs=60)
    assert found[0]["seconds_left"]["upper"] is None
    assert found[2]["seconds_left"]["seconds"] is None
    assert found[0]["probability"] == 0.9


@pytest.mark.parametrize(
    ("path", "query", "status", "message"),
    [
        ("/ai/predictions", {"job": "nod"}, 404, "did you mean 'node'"),
        ("/ai/predictions", {"job": "idle"}, 404, "no forecast of 'idle' yet: set schedule.forecast"),
        ("/ai/predictions", {"job": "node", "entity": "aa"}, 404, "entity 'aa'; did you mean 'a'"),
        ("/ai/predictions", {"job": "node", "feature": "dsk"}, 404, "did you mean 'disk'"),
        ("/ai/predictions", {"job": "node", "horizon": "soon"}, 422, "not a duration"),
        ("/ai/predictions", {"job": "node", "horizon": "0h"}, 422, "longer than 0"),
        ("/ai/predictions", {"job": "node", "horizon": "48h"}, 422, "at most 1d"),
        ("/ai/predictions", {"job": "node", "after": "x"}, 422, "as it was"),
        ("/ai/exhaustion", {"job": "nod"}, 404, "did you mean 'node'"),
    ],
)  # fmt: skip
def test_a_wrong_question_is_told_what_is_allowed(
    api: Client, path: str, query: dict[str, str], status: int, message: str
) -> None:
    answer = api.get(path, params=query)
    assert answer.status_code == status
    assert message in answer.json()["detail"]


def test_gauges_show_the_value_at_each_horizon_and_the_time_that_is_left(backend: Backend) -> None:
    later = NOW + 2 * HOUR
    families = {family.name: family.samples for family in forecast_metrics(backend.store, later)}
    values = {s.labels["horizon"]: s.value for s in families["foreshock_forecast"] if s.labels["feature"] == "cpu"}
    assert values == {"1h": 3.5, "6h": 8.5}  # a day from now is farther than the forecast looks
    left = {s.labels["entity"]: s.value for s in families["foreshock_seconds_to_exhaustion"]}
    assert left == {"a": 18 * 3600.0, "b": 3 * 3600.0, "c": float("inf")}
