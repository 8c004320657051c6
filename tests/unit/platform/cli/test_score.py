"""``foreshock score``, as people type it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
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


@pytest.fixture
def halting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four hosts: one goes on, one loses a series, one stops before the last 30 minutes, one in the last hour."""
    monkeypatch.setenv("FORESHOCK_HOME", str(tmp_path))
    rng = np.random.default_rng(0)
    values = rng.normal(0.5, 0.05, (4, LEARNT, 2))
    values[1, -20:, 0] = np.nan
    values[2, -30:] = np.nan
    values[3, -70:] = np.nan
    columns = {name: values[:, :, j].ravel() for j, name in enumerate(FEATURES[:2])}
    hosts = np.repeat(["goes-on", "half", "stopped", "long-gone"], LEARNT)
    windows = Windows.build(np.tile(np.arange(LEARNT) * 60_000, 4), {"instance": hosts}, columns, step=60)
    windows.write_parquet(tmp_path / "fleet.parquet")
    file = tmp_path / "job.yaml"
    file.write_text(
        "name: halting\nsource: {parquet: fleet.parquet}\nqueries: {cpu: a, memory: b}\n"
        "entity: [instance]\nstep: 60s\ndetectors: {iforest: {n_trees: 5}}\n"
    )
    train(load_job(file), Registry(tmp_path / "models"))
    return file


def score(file: Path, *words: str) -> Result:
    done = CliRunner().invoke(app, ["score", "-c", str(file), *words])
    assert done.exit_code == 0, done.output
    return done


def test_what_is_silent_at_the_end_of_the_stretch_is_listed_as_absent(halting: Path) -> None:
    found = json.loads(score(halting, "--start", "-1h", "--json").stdout)
    absent = {one["entity"]: one["summary"] for one in found if one["kind"] == "absent"}
    assert absent == {
        "half": "half (halting) has sent no cpu for 20 min",
        "stopped": "stopped (halting) has sent nothing for 30 min",
        "long-gone": "long-gone (halting) has sent nothing for at least 60 min",
    }
    table = score(halting, "--start", "-1h").stdout
    assert "stopped (halting) has sent nothing for 30 min" in " ".join(table.split())


def test_an_entity_of_the_model_without_any_row_is_absent(halting: Path) -> None:
    file = halting.parent / "fleet.parquet"
    Windows.read_parquet(file).select(["goes-on"]).write_parquet(file)
    found = json.loads(score(halting, "--start", "-1h", "--json").stdout)
    assert {one["entity"] for one in found if one["kind"] == "absent"} == {"half", "stopped", "long-gone"}


@pytest.mark.parametrize(
    ("start", "policy", "says"),
    [
        ("-3m", "", "the stretch is shorter than the 5m"),
        ("-1h", "alerts: {absent_after: null}", "absent_after: null"),
    ],
)
def test_where_absences_are_not_judged_it_says_so(halting: Path, start: str, policy: str, says: str) -> None:
    halting.write_text(halting.read_text() + policy)
    done = score(halting, "--start", start, "--json")
    assert not [one for one in json.loads(done.stdout) if one["kind"] == "absent"]
    assert "absences are not judged" in done.stderr
    assert says in done.stderr
