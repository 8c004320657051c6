"""Alertmanager is spoken to as Prometheus does it: seen at a real one."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.servers import servers

from foreshock.alerts.delivery import alert_deliverer
from foreshock.alerts.model import Alert
from foreshock.alerts.payload import alert_payload
from foreshock.alerts.publisher import AlertPublisher, Change
from foreshock.alerts.repository import AlertRepository
from foreshock.alerts.service import resolve
from foreshock.notify import alertmanager
from foreshock.notify.alertmanager import VALID_FOR, Alertmanager, as_alertmanager
from foreshock.notify.deliverer import Deliverer
from foreshock.silences.index import SilenceIndex
from foreshock.silences.parsing import parse_silence
from foreshock.silences.repository import SilenceRepository
from foreshock.store import Store
from foreshock_pipelines.jobfile import Job, NotifierConfig, parse_job

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CAUSE = {"feature": "cpu", "share": 0.9, "observed": 0.97, "expected": 0.4, "lower": 0.3, "upper": 0.5}


def now_ms() -> int:
    return round(time.time() * 1000)


def alert(**more: Any) -> Alert:
    at = now_ms() - 60_000
    fields: dict[str, Any] = {
        "id": "a-1", "job": "node", "entity": "web-1", "labels": {"instance": "web-1"}, "kind": "anomaly",
        "state": "open", "severity": "warning", "opened_ms": at, "updated_ms": at, "score": 1.5, "peak": 1.5,
        "summary": "web-1 (node) is anomalous", "causes": [CAUSE],
    }  # fmt: skip
    return Alert(**{**fields, **more})


def told(event: str = "opened", **more: Any) -> dict[str, Any]:
    return alert_payload(alert(**more), event, "http://foreshock")


def at(when: str) -> datetime:
    return datetime.fromisoformat(when)


# -- what an alert becomes -------------------------------------------------------------------------------
def test_a_live_alert_ends_four_repetitions_from_now() -> None:
    assert at(as_alertmanager(told(), NOW)["endsAt"]) == NOW + VALID_FOR == NOW + timedelta(minutes=4)


def test_a_resolved_alert_ends_when_it_was_resolved() -> None:
    resolved = round((NOW - timedelta(minutes=3)).timestamp() * 1000)
    made = as_alertmanager(told("resolved", opened_ms=resolved - 1000, resolved_ms=resolved), NOW)
    assert at(made["endsAt"]) == NOW - timedelta(minutes=3)


def test_a_notice_fires_though_it_is_over_as_soon_as_it_is_made() -> None:
    ms = round((NOW - timedelta(hours=1)).timestamp() * 1000)
    made = as_alertmanager(told(kind="notice", state="resolved", opened_ms=ms, resolved_ms=ms), NOW)
    assert at(made["endsAt"]) == NOW + VALID_FOR


@pytest.mark.parametrize("minutes", [-60, 0, 60])
def test_no_alert_ends_before_it_starts(minutes: int) -> None:
    opened = round((NOW + timedelta(minutes=minutes)).timestamp() * 1000)
    for resolved in (None, opened - 60_000, opened):
        made = as_alertmanager(told(opened_ms=opened, resolved_ms=resolved), NOW)
        assert at(made["startsAt"]) <= min(NOW, at(made["endsAt"]))


def test_labels_of_the_entity_with_names_of_foreshocks_own_are_exported() -> None:
    labels = {"job": "web", "exported_job": "batch", "severity": "gold", "alertname": "x", "foreshock_id": "y"}
    made = as_alertmanager(told(labels=labels), NOW)["labels"]
    assert made == {
        "exported_exported_job": "web", "exported_job": "batch", "exported_severity": "gold",
        "exported_alertname": "x", "exported_foreshock_id": "y", "alertname": "ForeshockAnomaly", "job": "node",
        "severity": "warning", "foreshock_id": "a-1",
    }  # fmt: skip


def test_annotations_name_the_largest_causes_of_many() -> None:
    causes = [{**CAUSE, "feature": f"f{n}", "observed": None} for n in range(500)]
    made = as_alertmanager(told(causes=causes, score=float("inf")), NOW)
    assert len(made["annotations"]) == 2 + 10
    assert len(json.dumps(made)) < 2000


def test_parameters_of_the_url_stay_behind_the_path() -> None:
    config = NotifierConfig(type="alertmanager", url="http://am/prefix/?tenant=a")
    assert Alertmanager(config).poster.url == "http://am/prefix/api/v2/alerts?tenant=a"


# -- at a real one ---------------------------------------------------------------------------------------
class Clock:
    """A wall clock that can be set forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead

    @property
    def ms(self) -> int:
        return round(self() * 1000)


def firing(url: str) -> dict[str, dict[str, Any]]:
    """Active alerts by Foreshock's id and severity."""
    found = httpx.get(f"{url}/api/v2/alerts", params={"active": "true"}).json()
    return {f"{one['labels']['foreshock_id']} {one['labels']['severity']}": one for one in found}


def until(condition: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def job(url: str) -> Job:
    return parse_job(
        "name: node\nsource: {prometheus: 'http://x:9090'}\nqueries: {cpu: cpu}\nentity: [instance]\n"
        f"notify: [{{type: alertmanager, url: '{url}'}}]\n"
    )


def announce(store: Store, event: str, changed: Alert) -> None:
    with store.begin() as c:
        AlertRepository(store).save(c, changed, event=event, at_ms=changed.updated_ms, who="foreshock", why="test")
        AlertPublisher(store).publish(c, [Change(event, changed)], SilenceIndex(), now_ms())


def deliverer(store: Store, url: str, clock: Callable[[], float] = time.time) -> Deliverer:
    return alert_deliverer(store, [job(url)], make=lambda config: Alertmanager(config, clock))


@pytest.mark.prometheus
def test_live_alerts_are_back_after_a_restart_of_alertmanager(store: Store, tmp_path: Path) -> None:
    clock, port = Clock(), servers.free_port()
    to = deliverer(store, f"http://127.0.0.1:{port}", clock)
    for n in range(300):  # more than one request takes
        announce(store, "opened", alert(id=f"a-{n}", entity=f"web-{n}", labels={"instance": f"web-{n}"}))
    with servers.alertmanager(tmp_path / "one", port=port) as url:
        to.run(clock.ms)
        assert len(firing(url)) == 300
    clock.ahead += 61
    to.run(clock.ms)
    clock.ahead += 61  # longer than the pause after a failure
    with servers.alertmanager(tmp_path / "two", port=port) as url:
        assert firing(url) == {}
        to.run(clock.ms)
        assert len(firing(url)) == 300


@pytest.mark.prometheus
def test_live_alerts_are_sent_again_each_minute_and_not_more_often(store: Store, tmp_path: Path) -> None:
    clock = Clock()
    announce(store, "opened", alert())
    with servers.alertmanager(tmp_path) as url:
        to = deliverer(store, url, clock)
        to.run(clock.ms)
        ends = [at(firing(url)["a-1 warning"]["endsAt"])]
        for seconds in (30, 31, 59, 2):
            clock.ahead += seconds
            to.run(clock.ms)
            ends.append(at(firing(url)["a-1 warning"]["endsAt"]))
    moved = [round((b - a).total_seconds()) for a, b in itertools.pairwise(ends)]
    assert moved == [pytest.approx(m, abs=2) for m in (0, 61, 0, 61)]


@pytest.mark.prometheus
def test_alerts_end_by_themselves_when_foreshock_is_gone(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alertmanager, "VALID_FOR", timedelta(seconds=3))
    announce(store, "opened", alert())
    with servers.alertmanager(tmp_path) as url:
        deliverer(store, url).run(now_ms())
        assert "a-1 warning" in firing(url)
        until(lambda: firing(url) == {})


@pytest.mark.prometheus
def test_an_alert_that_escalates_is_one_alert(store: Store, tmp_path: Path) -> None:
    announce(store, "opened", alert())
    with servers.alertmanager(tmp_path) as url:
        to = deliverer(store, url)
        to.run(now_ms())
        announce(store, "escalated", alert(severity="critical", updated_ms=now_ms()))
        to.run(now_ms())
        assert set(firing(url)) == {"a-1 critical"}


@pytest.mark.prometheus
def test_the_end_of_an_alert_is_sent_again_for_a_quarter_of_an_hour(store: Store, tmp_path: Path) -> None:
    clock = Clock()
    announce(store, "opened", alert())
    with servers.alertmanager(tmp_path) as url:
        to = deliverer(store, url, clock)
        to.run(clock.ms)
        resolve(store, "a-1", who="anna", why="", now_ms=now_ms())
        to.run(clock.ms)
        assert firing(url) == {}
        repeated = []
        for _ in range(20):
            clock.ahead += 61
            to.run(clock.ms)
            labels = {"job": "node", "notifier": "alertmanager", "result": "repeated"}
            repeated.append(to.counted.get_sample_value("foreshock_notifications_total", labels))
    assert repeated[13] == repeated[-1] == pytest.approx(15, abs=1)


@pytest.mark.prometheus
def test_a_silenced_alert_is_not_sent_again_and_is_back_when_its_silence_ends(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alertmanager, "VALID_FOR", timedelta(seconds=3))
    clock = Clock()
    announce(store, "opened", alert())
    with servers.alertmanager(tmp_path) as url:
        to = deliverer(store, url, clock)
        to.run(clock.ms)
        made = parse_silence(["instance=web-1"], owner="anna", reason="x", now=datetime.now(UTC), duration="1h")
        SilenceRepository(store).add(made)
        until(lambda: firing(url) == {})
        clock.ahead += 61
        to.run(clock.ms)
        assert firing(url) == {}
        SilenceRepository(store).expire(made.id, now_ms(), "anna")
        clock.ahead += 61
        to.run(clock.ms + 1000)
        assert set(firing(url)) == {"a-1 warning"}


@pytest.mark.prometheus
def test_what_is_not_announced_is_not_sent_again(store: Store, tmp_path: Path) -> None:
    held = alert(announced=False, silenced_by="s-1")
    with store.begin() as c:
        AlertRepository(store).save(c, held, event="opened", at_ms=held.updated_ms, who="foreshock", why="test")
    with servers.alertmanager(tmp_path) as url:
        deliverer(store, url).run(now_ms())
        assert firing(url) == {}


@pytest.mark.prometheus
def test_a_label_name_that_an_old_alertmanager_refuses_loses_no_alert(store: Store, tmp_path: Path) -> None:
    announce(store, "opened", alert(labels={"service.name": "cart"}))
    announce(store, "opened", alert(id="a-2", entity="web-2"))
    with servers.alertmanager(tmp_path) as url:
        deliverer(store, url).run(now_ms())
        found = firing(url)
    assert set(found) == {"a-1 warning", "a-2 warning"}
    labels = found["a-1 warning"]["labels"]
    assert "cart" in (labels.get("service_name"), labels.get("service.name"))


def test_a_reopened_alert_is_live_again() -> None:
    again = replace(alert(), state="open", resolved_ms=None)
    assert at(as_alertmanager(alert_payload(again, "reopened", ""), NOW)["endsAt"]) > NOW
