"""A source of another package, found by its entry point as an installed one is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from foreshock.runtime.job_checks import load_and_verify_job
from foreshock_models.errors import ConfigError
from foreshock_pipelines.jobfile import Job, load_job
from foreshock_pipelines.jobs.probe import probe
from foreshock_pipelines.jobs.train import train
from foreshock_pipelines.registry import Registry
from foreshock_pipelines.sources import open_source

MODULE = """
from datetime import UTC, datetime, timedelta
import numpy as np
from foreshock_pipelines.datasets.grid import grid
from foreshock_pipelines.datasets.ray_dataset import ray_dataset
from foreshock_pipelines.datasets.windows import Windows

END = datetime(2026, 3, 1, tzinfo=UTC)


class LakeSource:
    def __init__(self, job, *, partial="accept"):
        self.job = job
        self.hosts = job.source.plugin.options["hosts"]

    def read(self, start, end, *, progress=None):
        first, last = grid(max(start, END - timedelta(days=1)), min(end, END), self.job.step_seconds)
        times = np.arange(first, last + 1, 60_000)
        rng = np.random.default_rng(0)
        labels = {"instance": np.repeat(self.hosts, len(times))}
        features = {name: rng.normal(size=len(times) * len(self.hosts)) for name in self.job.features}
        return Windows.build(
            np.tile(times, len(self.hosts)), labels, features, step=60, job=self.job.name, queries={}
        )

    def dataset(self, start, end):
        return ray_dataset(self.job, start, end, len(self.hosts), read_part)

    def latest(self):
        return END

    def check(self):
        pass

    def discover(self):
        return dict.fromkeys(self.job.features, len(self.hosts))


def read_part(job, start, end):
    return LakeSource(job).read(start, end)
"""
JOB = """
name: node
source: {lake: {hosts: [a, b]}}
queries: {cpu: SELECT cpu, memory: SELECT memory}
entity: [instance]
history: 1d
detectors: {iforest: {n_trees: 5}}
"""


@pytest.fixture
def job_file(tmp_path: Path) -> Path:
    file = tmp_path / "node.yaml"
    file.write_text(JOB)
    return file


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package with a source, as pip leaves it."""
    site = tmp_path / "site"
    about = site / "lake_source-1.0.dist-info"
    about.mkdir(parents=True)
    (site / "lake_source.py").write_text(MODULE)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: lake-source\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[foreshock.sources]\nlake = lake_source:LakeSource\n")
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(sys.modules, "lake_source", raising=False)
    return str(site)


def test_a_job_names_it_by_its_key_and_trains_on_what_it_reads(
    job_file: Path, installed: str, tmp_path: Path
) -> None:
    job = load_and_verify_job(job_file)
    report = train(job, Registry(tmp_path / "models"))
    assert (report.entities, report.features) == (2, ("cpu", "memory"))
    assert [(answer.key, answer.entities, answer.problem) for answer in probe(job)] == [
        ("queries.cpu", 2, None),
        ("queries.memory", 2, None),
    ]


def test_a_job_survives_being_written_and_read_again(job_file: Path, installed: str) -> None:
    job = load_job(job_file)
    assert Job.model_validate(job.model_dump(mode="json", by_alias=True)) == job


def test_without_the_package_its_key_is_unknown(job_file: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'source\.lake'"):
        load_job(job_file)


def test_a_package_that_cannot_be_imported_is_named(
    job_file: Path, installed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(installed, "lake_source.py").unlink()
    with pytest.raises(ConfigError, match="lake cannot be imported from lake_source:LakeSource"):
        open_source(load_job(job_file))
    with pytest.raises(ConfigError, match="lake cannot be imported"):
        load_and_verify_job(job_file)


def test_two_sources_in_one_job_are_refused(job_file: Path, installed: str) -> None:
    job_file.write_text(JOB.replace("{lake:", "{parquet: fleet.parquet, lake:"))
    with pytest.raises(ConfigError, match="exactly one of prometheus"):
        load_job(job_file)
