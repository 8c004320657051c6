"""A running control_loop takes up a changed job file, and keeps the old one when the new one does not hold."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foreshock.alerts.repository import AlertRepository
from foreshock.runtime.actors import NAMESPACE
from foreshock.runtime.control_loop import Plan, Replay, start_control_loop
from foreshock.scoring.checkpoint import CheckpointRepository
from foreshock.store import open_store
from foreshock_pipelines.jobfile import load_job

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def until(condition: Callable[[], Any], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def test_a_changed_policy_is_in_force_without_training_and_a_broken_one_never(
    ray_cluster: None, trained: Any, tmp_path: Path
) -> None:
    import ray

    file = tmp_path / "small.yaml"
    text = trained.file.read_text().replace("fleet.parquet", str(trained.file.parent / "fleet.parquet"))
    # nothing may alert: no deviation of any feature is so large
    for feature in trained.windows.features:
        text = text.replace(
            f"  {feature}: demo_{feature}\n", f"  {feature}: {{query: demo_{feature}, min_deviation: 1e12}}\n"
        )
    file.write_text(text)
    end = trained.windows.end
    url = f"sqlite:///{tmp_path}/store.db"
    store = open_store(url)
    from datetime import timedelta

    replay = Replay(end - timedelta(hours=3), end, every=120)
    job = load_job(file)
    control_loop = start_control_loop(
        Plan({job.name: job}, url, str(trained.registry), files={job.name: file}, replay=replay)
    )

    def status() -> dict[str, Any]:
        found: dict[str, Any] = ray.get(control_loop.status.remote())["jobs"]["small"]
        return found

    try:
        until(lambda: CheckpointRepository(store).get("small") is not None)
        # what always runs keeps no core from training, on which it would wait for ever where there are few
        until(lambda: ray.available_resources()["CPU"] == ray.cluster_resources()["CPU"])
        model = status()["model"]
        file.write_text(text + "alerts: {for: 6 of 5}\n")
        until(lambda: status()["refused"] is not None)
        assert "6 of 5 can never happen" in status()["refused"]
        assert status()["policy"]["alerts"]["for"] == "3 of 5"
        before = CheckpointRepository(store).get("small")
        until(lambda: CheckpointRepository(store).get("small") != before)  # it goes on under the old policy
        assert AlertRepository(store).list(kind="anomaly").alerts == []
        file.write_text(text.replace("min_deviation: 1e12", "min_deviation: 0") + "alerts: {for: 2 of 3}\n")
        until(lambda: status()["policy"]["alerts"]["for"] == "2 of 3")
        assert status()["refused"] is None
        until(lambda: AlertRepository(store).list(kind="anomaly").alerts, 120)
        assert status()["model"] == model
    finally:
        ray.kill(control_loop)
        for name in ("alerts", "score-small"):
            ray.kill(ray.get_actor(name, namespace=NAMESPACE))
        store.close()
