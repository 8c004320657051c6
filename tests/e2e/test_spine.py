"""The real thing: Prometheus to Alertmanager, with real metrics."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.servers import servers

from foreshock.alerts.repository import AlertRepository
from foreshock.notify.outbox import Outbox
from foreshock.scoring.checkpoint import CheckpointRepository
from foreshock_pipelines.datasets.demo import demo_fleet
from foreshock_pipelines.datasets.windows import Windows

pytestmark = [pytest.mark.prometheus, pytest.mark.ray, pytest.mark.slow]


def real_machine(root: Path) -> tuple[Windows, list[tuple[datetime, datetime]]]:
    """Ten features of a real machine with its labelled incidents, or the demo fleet where that is not at hand."""
    file = root.parent / "shared" / "data" / "SMD" / "machine-1-7.parquet"
    if not file.is_file():
        windows, incidents = demo_fleet(hosts=1, days=4, incidents=2)  # one window is sent to the API
        return windows, [(i.start, i.end) for i in incidents]
    frame = pq.read_table(file).to_pandas()
    features = [c for c in frame.columns if c not in ("timestamp", "label", "split")]
    lively = sorted(features, key=lambda c: -float(frame[c].std()))[:10]
    test = np.flatnonzero((frame["split"] != "train").to_numpy())
    label = frame["label"].to_numpy()[test] == 1
    starts = test[np.flatnonzero(np.diff(np.r_[0, label.astype(int)]) == 1)]
    ends = test[np.flatnonzero(np.diff(np.r_[label.astype(int), 0]) == -1)]
    rows = slice(max(0, int(test[0]) - 6000), int(starts[2]) + 1500)
    part = frame.iloc[rows]
    first = datetime(2026, 3, 1, tzinfo=UTC)
    times = [first + timedelta(minutes=i) for i in range(len(part))]
    windows = Windows.build(
        times, {"instance": ["machine"] * len(part)}, {c: part[c].to_numpy() for c in lively}, step=60
    )
    offset = rows.start
    spans = [
        (times[a - offset], times[min(b - offset, len(times) - 1)])
        for a, b in zip(starts[:3], ends[:3], strict=True)
    ]
    return windows, spans


@pytest.mark.parametrize("server", [servers.prometheus, servers.victoria_metrics], ids=lambda one: one.__name__)
def test_from_the_source_to_an_alert_with_attributions_in_alertmanager(
    ray_cluster: None, root: Path, tmp_path: Path, server: Any
) -> None:
    import ray

    from foreshock.runtime.actors import NAMESPACE
    from foreshock.runtime.control_loop import Plan, Replay, start_control_loop
    from foreshock.store import open_store
    from foreshock_pipelines.jobfile import load_job
    from foreshock_pipelines.jobs.train import train
    from foreshock_pipelines.registry import Registry

    windows, incidents = real_machine(root)
    start = min(a for a, _ in incidents) - timedelta(hours=1)
    end = max(b for _, b in incidents) + timedelta(minutes=5)
    with (
        server(tmp_path / "p", windows=windows) as source,
        servers.alertmanager(tmp_path / "a") as am,
    ):
        file = tmp_path / "job.yaml"
        queries = "".join(f"  {name}: {name}\n" for name in windows.features)
        file.write_text(
            f"name: machine\nsource: {{prometheus: '{source}'}}\nqueries:\n{queries}entity: [instance]\n"
            "step: 60s\ndetectors: [iforest, vae]\nfalse_alerts: 6 per day\n"
            # an alert that ended leaves Alertmanager; it is asked after the last incident is over
            f"alerts: {{resolve_after: 12h}}\nnotify: [{{type: alertmanager, url: '{am}'}}]\n"
        )
        job = load_job(file)
        registry = Registry(tmp_path / "models")
        report = train(job, registry, start=windows.start, end=start)
        assert [d["detector"] for d in report.detectors] == ["iforest", "vae", "ensemble"]
        url = f"sqlite:///{tmp_path}/store.db"
        control_loop = start_control_loop(
            Plan(
                {job.name: job}, url, str(tmp_path / "models"), "http://foreshock", replay=Replay(start, end, 1800)
            )
        )
        store = open_store(url)
        try:
            deadline = time.monotonic() + 150
            while (
                state := CheckpointRepository(store).get(job.name)
            ) is None or state.scored_ms < end.timestamp() * 1000 - 120_000:
                assert time.monotonic() < deadline, ray.get(control_loop.status.remote())
                time.sleep(0.3)
            alerts = AlertRepository(store).list(kind="anomaly").alerts
            assert any(_inside(a.opened_ms, incidents) for a in alerts), "no incident raised an alert"
            while Outbox(store).undelivered():
                assert time.monotonic() < deadline
                time.sleep(0.2)
            there = httpx.get(f"{am}/api/v2/alerts", params={"active": "true"}).json()
            first = min((a for a in alerts if _inside(a.opened_ms, incidents)), key=lambda a: a.opened_ms)
            assert served_score(job, tmp_path, first.opened_ms) >= 1
        finally:
            for name in ("control_loop", "alerts", f"score-{job.name}"):
                ray.kill(ray.get_actor(name, namespace=NAMESPACE))
            store.close()
    ours = {a["labels"]["foreshock_id"]: a for a in there}
    assert ours, "Alertmanager has no alert"
    open_now = {a.id for a in alerts if a.live}
    assert open_now <= set(ours)
    for one in ours.values():
        assert one["labels"]["instance"] == windows.entities[0]
        assert "%" in one["annotations"]["causes"]
        assert any(key.startswith("expected_") for key in one["annotations"])


def served_score(job: Any, folder: Path, at_ms: int) -> float:
    """The score at a time, of rows read from the job's source and sent to the HTTP API."""
    from ray import serve

    from foreshock.api.app import serve_application
    from foreshock.settings import load_settings
    from foreshock_pipelines.sources import open_source

    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    rows = open_source(job).read(at - timedelta(hours=3), at)
    window = {
        "entity": rows.entities[0],
        "timestamps": rows.to_panel().timestamps.tolist(),
        "values": {name: rows.table.column(name).to_pylist() for name in rows.features},
    }
    serve.shutdown()  # one that runs already keeps its port
    settings = load_settings(home=folder, registry_uri=str(folder / "models"), port=servers.free_port())
    token, _ = serve_application(settings, {job.name: job})
    try:
        answer = httpx.post(
            f"http://127.0.0.1:{settings.port}/ai/score",
            json={"job": job.name, "windows": [window]},
            headers={"Authorization": f"Bearer {token}"},
            timeout=60,
        )
        return float(answer.raise_for_status().json()["windows"][0]["score"][-1])
    finally:
        serve.shutdown()


def _inside(ms: int, incidents: list[tuple[datetime, datetime]]) -> bool:
    late = timedelta(minutes=15)
    return any(a.timestamp() * 1000 <= ms <= (b + late).timestamp() * 1000 for a, b in incidents)


def test_the_node_job_reads_every_feature_of_node_exporter(root: Path, tmp_path: Path) -> None:
    from foreshock_pipelines.jobfile import load_job
    from foreshock_pipelines.sources import open_source

    with (
        servers.node_exporter(tmp_path) as target,
        servers.prometheus(tmp_path / "p", scrape=target) as url,
    ):
        job: Any = load_job(root / "configs" / "node.yaml", env={"PROMETHEUS_URL": url})
        job = job.model_copy(update={"step": timedelta(seconds=1)})
        source = open_source(job)
        deadline = time.monotonic() + 60
        while True:
            now = source.latest()
            try:
                last = source.read(now - timedelta(seconds=3), now).to_pandas().iloc[-2]
            except Exception:
                last = None
            if last is not None and last[list(job.features)].notna().all():
                break
            assert time.monotonic() < deadline, f"a feature stays empty: {last}"
            time.sleep(1)


def test_victoria_metrics_is_fetched_trained_on_and_scored(
    fleet: Windows, fleet_victoria_metrics: str, tmp_path: Path
) -> None:
    from foreshock_pipelines.jobfile import load_job
    from foreshock_pipelines.jobs.score import score_pass
    from foreshock_pipelines.jobs.train import train
    from foreshock_pipelines.registry import Registry
    from foreshock_pipelines.sources import open_source

    file = tmp_path / "job.yaml"
    queries = "".join(f"  {name}: {name}\n" for name in fleet.features)
    file.write_text(
        f"name: fleet\nsource: {{prometheus: '{fleet_victoria_metrics}'}}\nqueries:\n{queries}"
        "entity: [instance]\nstep: 60s\ndetectors: {iforest: {n_trees: 10}}\n"
    )
    start, end = (f"{t:%Y-%m-%dT%H:%M:%SZ}" for t in (fleet.start, fleet.end))
    saved = tmp_path / "windows.parquet"
    command = ["-m", "foreshock", "fetch", "-c", file, "-o", saved, "--start", start, "--end", end]
    subprocess.run([sys.executable, *command], check=True, env={**os.environ, "FORESHOCK_HOME": str(tmp_path)})
    assert Windows.read_parquet(saved).n_rows == fleet.n_rows
    job = load_job(file)
    registry = Registry(tmp_path / "models")
    report = train(job, registry, start=fleet.start, end=fleet.end - timedelta(hours=2))
    assert report.entities == len(fleet.entities)
    detector, model = registry.load(job.name)
    span = (fleet.end_ms - 7_200_000, fleet.end_ms)
    scored = score_pass(detector, model.version, open_source(job), job, span)
    assert np.isfinite(scored.score).all()
    assert len(scored.score) >= 2 * 120  # the third host died before
