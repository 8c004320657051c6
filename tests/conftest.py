"""What all tests share: where the labelled data are, one Ray cluster per run, a small job that is trained once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytest_plugins = [
    "tests.servers.fixtures",
    "tests.servers.faulty",
    "tests.fixtures.alerts",
    "tests.fixtures.certificates",
    "tests.fixtures.application",
    "tests.fixtures.incidents",
    "tests.fixtures.oncall",
    "tests.fixtures.stores",
]

os.environ.setdefault("OMP_NUM_THREADS", "1")


UNIT = ROOT / "tests" / "unit"
NOT_UNIT = {"ray", "prometheus", "postgres", "browser", "slow", "shared"}


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what `tests.together` runs in one process, and keep Ray, servers and slow tests out of the unit tier."""
    if "ray_cluster" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.shared)
    wrong = NOT_UNIT & {mark.name for mark in item.iter_markers()} if item.path.is_relative_to(UNIT) else None
    if wrong:
        raise pytest.UsageError(f"{item.nodeid} is marked {', '.join(sorted(wrong))}: move it to tests/integration")


@pytest.fixture(scope="session")
def root() -> Path:
    """Root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real labelled metrics, kept beside the repository; tests skip where they are absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the labelled metrics are not at hand ({folder} does not exist)")
    return folder


@pytest.fixture(scope="session")
def ray_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One small Ray cluster for the whole test run, on ports that nothing else on this machine uses."""
    from tests.servers.servers import free_port

    from foreshock.runtime.cluster import ray_cluster as cluster
    from foreshock.settings import load_settings

    settings = load_settings(home=tmp_path_factory.mktemp("cluster"), port=free_port())
    with cluster(settings, num_cpus=4, serving=True):
        yield


@dataclass(frozen=True)
class Trained:
    """A small fleet with incidents in its last three hours, its job file, and a registry with a champion."""

    job: object
    file: Path
    windows: object
    incidents: list[object]
    registry: Path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The demo fleet, small: an Isolation Forest trained on all but its last three hours."""
    from foreshock_pipelines.datasets.demo import demo_fleet
    from foreshock_pipelines.jobfile import load_job
    from foreshock_pipelines.jobs.train import train
    from foreshock_pipelines.registry import Registry

    folder = tmp_path_factory.mktemp("trained")
    windows, incidents = demo_fleet(hosts=4, days=2, incidents=3, incident_hours=3, seed=3)
    windows.write_parquet(folder / "fleet.parquet")
    file = folder / "small.yaml"
    file.write_text(
        "name: small\nsource: {parquet: fleet.parquet}\nqueries:\n"
        + "".join(f"  {name}: demo_{name}\n" for name in windows.features)
        + "entity: [instance]\nstep: 60s\ndetectors: {iforest: {n_trees: 15}}\nfalse_alerts: 1 per day\n"
    )
    job = load_job(file)
    train(job, Registry(folder / "models"), end=windows.end - timedelta(hours=3))
    return Trained(job, file, windows, incidents, folder / "models")
