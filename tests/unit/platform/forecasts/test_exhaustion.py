"""Alerts on what will run out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foreshock.alerts.pipeline import AlertPipeline
from foreshock.alerts.repository import AlertRepository
from foreshock.forecasts.exhaustion import update_exhaustion_alerts
from foreshock.forecasts.repository import SeriesForecast
from foreshock.notify.outbox import Outbox
from foreshock.store import open_store
from foreshock_pipelines.jobfile import Job, parse_job

HOUR = 3_600_000
ROWS = np.array([[0.90, 0.88, 0.92]])


@pytest.fixture
def disks() -> Job:
    return parse_job(
        "name: disks\nsource: {prometheus: 'http://localhost:9090'}\nentity: [instance]\n"
        "queries: {disk: {query: disk, exhaustion: {limit: 95%, within: 24h, probability: 0.7}}, cpu: cpu}\n"
        "notify: [{type: webhook, url: 'http://127.0.0.1:1/'}]\n"
    )


@pytest.fixture
def engine(tmp_path: Path) -> AlertPipeline:
    return AlertPipeline(open_store(f"sqlite:///{tmp_path}/store.db"))


def fills(probability: float, *, hours: float | None = 20, at: int = 0, entity: str = "host-7") -> SeriesForecast:
    seconds = None if hours is None else hours * 3600
    exhaustion: dict[str, Any] = {
        "entity": entity, "feature": "disk", "limit": 0.95, "direction": "up", "level": 0.8, "seconds": seconds,
        "lower": 15 * 3600.0, "upper": None, "probability": probability, "within": 86400.0, "horizon": 96 * 3600.0,
    }  # fmt: skip
    return SeriesForecast(
        "disks", entity, "disk", at * HOUR, at * HOUR, 3600.0, 0.8, ROWS, "arima", exhaustion=exhaustion
    )


def events(engine: AlertPipeline, job: Job, *forecasts: SeriesForecast) -> list[str]:
    return [change.event for change in update_exhaustion_alerts(engine, job, forecasts, forecasts[0].made_ms)]


def test_it_opens_only_from_the_line_on(engine: AlertPipeline, disks: Job) -> None:
    assert events(engine, disks, fills(0.69)) == []
    assert events(engine, disks, fills(0.7, at=1)) == ["opened"]
    (alert,) = AlertRepository(engine.store).list(kind="predicted").alerts
    assert (alert.entity, alert.feature, alert.state, alert.severity) == ("host-7", "disk", "open", "warning")
    assert alert.summary == ("disk of host-7 reaches 0.95 in 20 h (80%: 15–> 96 h); 70% likely within 1d (disks)")
    (posted,) = Outbox(engine.store).unsent()
    assert posted.payload["kind"] == "predicted"
    assert posted.payload["event"] == "opened"


def test_the_next_forecast_updates_it_and_makes_no_second_one(engine: AlertPipeline, disks: Job) -> None:
    assert events(engine, disks, fills(0.8)) == ["opened"]
    events(engine, disks, fills(0.9, at=1, hours=19))
    (alert,) = AlertRepository(engine.store).list().alerts
    assert "19 h" in alert.summary
    assert len(Outbox(engine.store).unsent()) == 1


def test_it_becomes_critical_when_little_time_is_left(engine: AlertPipeline, disks: Job) -> None:
    assert events(engine, disks, fills(0.8)) == ["opened"]
    assert events(engine, disks, fills(0.97, at=15, hours=5)) == ["escalated"]


def test_it_resolves_when_it_no_longer_holds_and_opens_again_when_it_does(
    engine: AlertPipeline, disks: Job
) -> None:
    assert events(engine, disks, fills(0.8)) == ["opened"]
    assert events(engine, disks, fills(0.1, at=1, hours=None)) == ["resolved"]
    assert events(engine, disks, fills(0.8, at=2)) == ["opened"]
    assert len(AlertRepository(engine.store).list().alerts) == 2


def test_a_series_that_could_not_be_forecast_keeps_its_alert(engine: AlertPipeline, disks: Job) -> None:
    assert events(engine, disks, fills(0.8), fills(0.1, entity="b")) == ["opened"]
    silent = SeriesForecast("disks", "host-7", "disk", HOUR, skipped="no sample in the last 4 h")
    assert "resolved" not in events(engine, disks, silent, fills(0.1, at=1, entity="b"))
    assert AlertRepository(engine.store).list(state="live").alerts[0].entity == "host-7"


def test_an_entity_that_is_gone_takes_its_alert_with_it(engine: AlertPipeline, disks: Job) -> None:
    assert events(engine, disks, fills(0.8), fills(0.1, entity="b")) == ["opened"]
    assert events(engine, disks, fills(0.1, at=1, entity="b")) == ["resolved"]


def test_a_series_that_lacks_in_a_partial_answer_keeps_its_alert(engine: AlertPipeline, disks: Job) -> None:
    assert events(engine, disks, fills(0.8), fills(0.1, entity="b")) == ["opened"]
    changes = update_exhaustion_alerts(engine, disks, [fills(0.1, at=1, entity="b")], HOUR, partial=True)
    assert "resolved" not in [change.event for change in changes]
    assert AlertRepository(engine.store).list(state="live").alerts[0].entity == "host-7"
