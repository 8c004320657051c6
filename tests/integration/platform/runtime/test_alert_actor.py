"""The alert actor and the scoring worker, killed in the middle."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tests.servers import servers
from tests.servers.servers import free_port

from foreshock.alerts.pipeline import AlertPipeline
from foreshock.alerts.repository import AlertRepository
from foreshock.runtime.actors import NAMESPACE, alert_actor, score_worker
from foreshock.runtime.control_loop import Plan, Replay, start_control_loop
from foreshock.scoring.checkpoint import CheckpointRepository
from foreshock.store import open_store
from foreshock_models.policy import Policy, rows_processed
from foreshock_models.state import State
from foreshock_pipelines.jobfile import Job, NotifierConfig, WriteConfig
from foreshock_pipelines.jobs.score import score_pass, spans
from foreshock_pipelines.registry import Registry
from foreshock_pipelines.sources import open_source

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@contextlib.contextmanager
def receiver(port: int) -> Iterator[list[dict[str, Any]]]:
    """An HTTP server that keeps what it gets."""
    got: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield got
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def until(condition: Callable[[], Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def job(trained: Any, port: int) -> Job:
    config = NotifierConfig(type="webhook", url=f"http://127.0.0.1:{port}/")
    made: Job = trained.job.model_copy(update={"notify": [config]})
    return made


def expected_alerts(job: Job, trained: Any, folder: Path, replay: Replay) -> dict[str, int]:
    """Alerts of an undisturbed run in this process: id to opening time."""
    engine = AlertPipeline(open_store(f"sqlite:///{folder}/undisturbed.db"))
    detector, model = Registry(trained.registry).load(job.name)
    source = open_source(job)
    since = round(replay.start.timestamp() * 1000)
    state: State | None = None
    for span in spans(since, round(replay.end.timestamp() * 1000), job.step_seconds):
        scored = score_pass(detector, model.version, source, job, span, state)
        engine.apply(job, scored, span[1])
        state = scored.state
    return {a.id: a.opened_ms for a in AlertRepository(engine.store).list(limit=500).alerts}


def test_every_alert_arrives_though_the_actor_is_killed_before_it_sends(
    ray_cluster: None, job: Job, trained: Any, port: int, tmp_path: Path
) -> None:
    import ray

    url = f"sqlite:///{tmp_path}/store.db"
    detector, model = Registry(trained.registry).load(job.name)
    end = trained.windows.end_ms
    scored = score_pass(detector, model.version, open_source(job), job, (end - 180 * 60_000, end))
    actor = alert_actor(url, "http://foreshock", [job])
    try:
        opened = ray.get(actor.apply.remote(job, scored, end))  # the receiver is down: nothing can be sent yet
        assert opened
        os.kill(ray.get(actor.pid.remote()), signal.SIGKILL)
        with receiver(port) as got:
            until(lambda: {p["id"] for p in got} >= {p["id"] for p in opened})
        store = open_store(url)
        assert {a.id for a in AlertRepository(store).list(limit=500).alerts} == {p["id"] for p in opened}
        store.close()
    finally:
        ray.kill(actor)


def test_a_pass_that_a_worker_sent_before_it_died_is_not_taken_again_from_its_successor(
    ray_cluster: None, job: Job, trained: Any, tmp_path: Path
) -> None:
    import ray

    store = open_store(f"sqlite:///{tmp_path}/store.db")
    detector, model = Registry(trained.registry).load(job.name)
    third, second, first = (trained.windows.end_ms - minutes * 60_000 for minutes in (0, 10, 20))
    actor = alert_actor(f"sqlite:///{tmp_path}/store.db", "http://foreshock", [job])
    worker = score_worker(job, str(trained.registry), f"sqlite:///{tmp_path}/store.db", actor)
    try:
        ray.get(worker.run.remote(first, first - 30 * 60_000))
        known = ray.get(actor.scorer.remote(job.name))  # the successor reads,
        ray.get(worker.run.remote(second))  # and only then arrives what the one before it sent
        taken = CheckpointRepository(store).get(job.name)
        span = (known.scored_ms + 60_000, third)
        cursors = Policy.last_seen(State.from_bytes(known.policy_state))
        state = State.from_bytes(known.model_state)
        scored = score_pass(detector, model.version, open_source(job), job, span, state, cursors)
        assert ray.get(actor.apply.remote(job, scored, third, known.revision)) is None
        assert CheckpointRepository(store).get(job.name) == taken
        report = ray.get(worker.run.remote(third))
        assert (report.scored_ms, report.rows) == (third, 10 * len(trained.windows.entities))
        panel = trained.windows.between(first - 29 * 60_000, third).to_panel()
        there = ~np.isnan(panel.values).all(axis=1)
        rows = rows_processed(State.from_bytes(CheckpointRepository(store).get(job.name).policy_state))
        assert rows == {entity: int(there[at].sum()) for entity, at in panel}
    finally:
        ray.kill(worker)
        ray.kill(actor)
        store.close()


@pytest.mark.prometheus
def test_scores_of_a_worker_that_died_while_their_receiver_was_down_are_written_by_its_successor(
    ray_cluster: None, job: Job, trained: Any, port: int, tmp_path: Path
) -> None:
    import ray

    url = f"sqlite:///{tmp_path}/store.db"
    job = job.model_copy(update={"write": WriteConfig(url=f"http://127.0.0.1:{port}/api/v1/write", features=False)})
    end = trained.windows.end_ms
    actor = alert_actor(url, "http://foreshock", [job])
    worker = score_worker(job, str(trained.registry), url, actor)
    try:
        ray.get(worker.run.remote(end - 600_000, end - 1_800_000))
        os.kill(ray.get(worker.pid.remote()), signal.SIGKILL)
        args = ["--web.enable-remote-write-receiver"]
        with servers.prometheus(tmp_path / "prometheus", args=args, port=port) as prometheus:
            report = ray.get(worker.run.remote(end))
            query = {"query": "count_over_time(foreshock_anomaly_score[1h])", "time": end / 1000}

            def written() -> dict[str, int]:
                found = httpx.get(f"{prometheus}/api/v1/query", params=query).json()["data"]["result"]
                return {one["metric"]["instance"]: int(one["value"][1]) for one in found}

            store = open_store(url)
            rows = rows_processed(State.from_bytes(CheckpointRepository(store).get(job.name).policy_state))
            store.close()
            assert report.scored_ms == end
            until(lambda: written() == {entity: n for entity, n in rows.items() if n})
    finally:
        ray.kill(worker)
        ray.kill(actor)


def test_a_scoring_worker_killed_in_the_middle_loses_no_row_and_no_alert(
    ray_cluster: None, job: Job, trained: Any, port: int, tmp_path: Path
) -> None:
    import ray

    end = trained.windows.end
    replay = Replay(end - timedelta(hours=3), end, every=300)
    expected = expected_alerts(job, trained, tmp_path, replay)
    assert expected
    url = f"sqlite:///{tmp_path}/store.db"
    store = open_store(url)
    with receiver(port) as got:
        control_loop = start_control_loop(Plan({job.name: job}, url, str(trained.registry), replay=replay))
        try:
            for _ in range(3):
                before = CheckpointRepository(store).get(job.name)
                until(lambda before=before: CheckpointRepository(store).get(job.name) != before)
                worker = ray.get_actor(f"score-{job.name}", namespace=NAMESPACE)
                os.kill(ray.get(worker.pid.remote()), signal.SIGKILL)
            os.kill(ray.get(control_loop.pid.remote()), signal.SIGKILL)
            last = round(end.timestamp() * 1000)
            until(lambda: (s := CheckpointRepository(store).get(job.name)) is not None and s.scored_ms >= last, 120)
            assert {a.id: a.opened_ms for a in AlertRepository(store).list(limit=500).alerts} == expected
            until(lambda: {p["id"] for p in got} == set(expected))
        finally:
            ray.kill(control_loop)
            for name in ("alerts", f"score-{job.name}"):
                ray.kill(ray.get_actor(name, namespace=NAMESPACE))
            store.close()


def test_shards_leave_the_state_that_one_process_leaves(
    ray_cluster: None, job: Job, trained: Any, tmp_path: Path
) -> None:
    import ray

    url = f"sqlite:///{tmp_path}/store.db"
    parted = job.model_copy(update={"shards": 2})
    end = trained.windows.end_ms
    actor = alert_actor(url, "http://foreshock", [parted])
    worker = score_worker(parted, str(trained.registry), url, actor)
    try:
        report = ray.get(worker.run.remote(end, end - 60 * 60_000))
        known = ray.get(actor.scorer.remote(job.name))
    finally:
        ray.kill(worker)
        ray.kill(actor)
    detector, model = Registry(trained.registry).load(job.name)
    alone = score_pass(detector, model.version, open_source(job), job, (end - 59 * 60_000, end))
    assert report.rows == alone.panel.n_rows
    state = State.from_bytes(known.model_state)
    for key, values in alone.state.select(state.entities).arrays.items():
        np.testing.assert_array_equal(state.arrays[key], values)
