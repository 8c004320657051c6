"""``foreshock score``, as people type it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from foreshock.cli.app import _load_commands, app
from foreshock_pipelines.datasets.windows import Windows
from foreshock_pipelines.jobfile import load_job
from foreshock_pipelines.jobs.train import train
from foreshock_pipelines.registry import Registry

_load_commands()
HOSTS, LEARNT, SCORED = 24, 600, 90
FEATURES = ("cpu", "memory", "disk")


def test_in_an_incident_of_all_hosts_each_one_is_listed_with_its_own_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORESHOCK_HOME", str(tmp_path))
    rng = np.random.default_rng(0)
    n = LEARNT + SCORED
    values = rng.normal(0.5, 0.05, (HOSTS, n, len(FEATURES)))
    for host in range(HOSTS):
        values[host, LEARNT + 5 :, host % len(FEATURES)] += 1 + 0.2 * host
    names = np.repeat([f"host-{host:02d}" for host in range(HOSTS)], n)
    columns = {name: values[:, :, j].ravel() for j, name in enumerate(FEATURES)}
    windows = Windows.build(np.tile(np.arange(n) * 60_000, HOSTS), {"instance": names}, columns, step=60)
    windows.write_parquet(tmp_path / "fleet.parquet")
    file = tmp_path / "storm.yaml"
    file.write_text(
        "name: storm\nsource: {parquet: fleet.parquet}\nqueries: {cpu: a, memory: b, disk: c}\n"
        "entity: [instance]\nstep: 60s\ndetectors: {iforest: {n_trees: 15}}\n"
    )
    before = windows.between(end=(LEARNT - 1) * 60_000).end
    train(load_job(file), Registry(tmp_path / "models"), end=before)
    done = CliRunner().invoke(app, ["score", "-c", str(file), "--start", "-90m", "--json"])
    assert done.exit_code == 0, done.output
    found = {row["entity"]: row["causes"][0]["feature"] for row in json.loads(done.stdout)}
    assert found == {f"host-{host:02d}": FEATURES[host % len(FEATURES)] for host in range(HOSTS)}
