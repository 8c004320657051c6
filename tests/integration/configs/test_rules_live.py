"""The alert rules in a real Prometheus that scrapes what ``/metrics`` shows."""

from __future__ import annotations

import http.server
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tests.servers import servers

from foreshock.api.exposition import render
from foreshock.scoring.latest import Latest
from foreshock.scoring.remote_write import score_labels
from foreshock_pipelines.datasets.entity_key import entity_key
from foreshock_pipelines.jobfile import Job, WriteConfig
from foreshock_pipelines.prometheus.remote_write import RemoteWriter, TimeSeries

pytestmark = pytest.mark.prometheus
RULES = Path(__file__).resolve().parents[3] / "configs" / "rules"


def exposition(*entities: dict[str, str]) -> str:
    """What ``/metrics`` shows while the first of these entities is anomalous."""
    names = list(entities[0])
    job = Job.model_validate(
        {"name": "node", "source": {"prometheus": "http://x"}, "queries": {"cpu": "up"}, "entity": names}
    )
    score = np.array([2.5] + [0.3] * (len(entities) - 1))
    usual = np.full((3, len(entities), 1), 0.5)
    keys = tuple(entity_key(entity) for entity in entities)
    latest = Latest(keys, ("cpu",), "ensemble", score, usual, {"vae": score, "lstm": score})
    up = {"control_loop": True, "alerts": True}
    return render({"node": latest}, {"node": job}, 0, [], up, [], datetime.now(UTC))


@contextmanager
def metrics(text: str) -> Iterator[str]:
    """Address of a server that shows a text at ``/metrics``."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@contextmanager
def prometheus(folder: Path, target: str, honor_labels: bool) -> Iterator[str]:
    """URL of a Prometheus that scrapes `target`, with the shipped rules, which wait seconds in place of minutes."""
    for file in RULES.glob("*.rules.yml"):
        text = re.sub(r"\bfor: \d+[mh]", "for: 4s", file.read_text())
        text = text.replace("keep_firing_for: 5m", "keep_firing_for: 1s")
        (folder / file.name).write_text(text.replace("    rules:", "    interval: 1s\n    rules:"))
    with servers.prometheus(
        folder / "p", scrape=target, honor_labels=honor_labels, config=f"rule_files: ['{folder}/*.rules.yml']",
        args=["--web.enable-remote-write-receiver"],
    ) as url:  # fmt: skip
        yield url


ENTITIES = {
    "instance": ([{"instance": "web-1"}, {"instance": "web-2"}], {"instance": "web-1"}),
    "host": ([{"host": "web-1"}, {"host": "web-2"}], {"host": "web-1"}),
    "job": ([{"job": "api", "instance": "web-1"}, {"job": "db", "instance": "web-1"}], None),
    "dotted": ([{"service.name": "cart"}, {"service.name": "shop"}], {"service_name": "cart"}),
}


@pytest.mark.parametrize("honor", [True, False], ids=["honor_labels", "without"])
@pytest.mark.parametrize("kind", list(ENTITIES))
def test_one_incident_is_one_alert_with_the_labels_of_the_entity(tmp_path: Path, kind: str, honor: bool) -> None:
    entities, labels = ENTITIES[kind]
    labels = {"exported_job": "api", "instance": "web-1"} if labels is None else labels
    with metrics(exposition(*entities)) as address, prometheus(tmp_path, address, honor) as url:
        assert alerts(url) == [{"alertname": "ForeshockAnomaly", "severity": "warning", "job": "node", **labels}]


def test_scores_that_are_written_and_scraped_are_one_alert_too(tmp_path: Path) -> None:
    entities, labels = ENTITIES["instance"]
    with metrics(exposition(*entities)) as address, prometheus(tmp_path, address, honor_labels=False) as url:
        writer = RemoteWriter(WriteConfig(url=f"{url}/api/v1/write"))
        own = {**score_labels("node", "web-1", ["instance"]), "detector": "ensemble"}
        now = round(time.time() * 1000)
        writer.write([TimeSeries.of("foreshock_anomaly_score", own, [now - 1000, now], [2.4, 2.4])])
        writer.close()
        found = httpx.get(f"{url}/api/v1/query", params={"query": 'foreshock_anomaly_score{instance="web-1"}'})
        assert len(found.json()["data"]["result"]) == 1
        assert alerts(url) == [{"alertname": "ForeshockAnomaly", "severity": "warning", "job": "node", **labels}]


def alerts(url: str) -> list[dict[str, str]]:
    """Labels of the alerts that fire once the first one does, and two evaluations later."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = httpx.get(f"{url}/api/v1/alerts").json()["data"]["alerts"]
        if any(alert["state"] == "firing" for alert in found):
            time.sleep(4)
            found = httpx.get(f"{url}/api/v1/alerts").json()["data"]["alerts"]
            return [alert["labels"] for alert in found]
        time.sleep(0.5)
    raise AssertionError("no alert fired")
