"""Job files that change: staged, then in force."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from foreshock.schedule.jobfiles import JobFiles
from foreshock_pipelines.jobfile import Job, load_job
from foreshock_pipelines.registry import Registry


class Folder:
    """A copy of the small job's file, watched."""

    def __init__(self, trained: Any, folder: Path) -> None:
        self.path = folder / "small.yaml"
        self.text = trained.file.read_text().replace("fleet.parquet", str(trained.file.parent / "fleet.parquet"))
        self.version = 0
        self.write(self.text)
        self.jobs = {"small": load_job(self.path)}
        self.watch = JobFiles({"small": self.path}, Registry(trained.registry))

    def write(self, text: str) -> None:
        self.version += 1
        self.path.write_text(text)
        os.utime(self.path, (self.version, self.version))

    def look(self) -> list[Job]:
        found = self.watch.changed(self.jobs)
        self.jobs.update({job.name: job for job in found})
        return found


@pytest.fixture
def folder(trained: Any, tmp_path: Path) -> Folder:
    return Folder(trained, tmp_path)


def test_a_file_as_it_was_read_at_the_start_changes_nothing(folder: Folder) -> None:
    assert folder.look() == []


def test_a_changed_policy_is_taken_up_once(folder: Folder) -> None:
    folder.write(folder.text + "alerts: {for: 5 of 7}\n")
    assert [str(job.alerts.for_) for job in folder.look()] == ["5 of 7"]
    assert folder.look() == []


def test_a_file_that_changed_while_nothing_ran_is_taken_up_at_the_start(folder: Folder, trained: Any) -> None:
    folder.write(folder.text + "alerts: {for: 5 of 7}\n")
    again = JobFiles({"small": folder.path}, Registry(trained.registry))
    assert [str(job.alerts.for_) for job in again.changed(folder.jobs)] == ["5 of 7"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("alerts: {for: 6 of 5}\n", "6 of 5 can never happen"),
        ("alerts: [\n", "not valid YAML"),
        ("notify: [{type: pager}]\n", "no notifier 'pager'"),
        ("step: 30s\n", "its step is 60 s"),
    ],
)
def test_a_file_that_does_not_hold_leaves_the_old_one_in_force_and_says_so(
    folder: Folder, text: str, says: str
) -> None:
    base = folder.text.replace("step: 60s ", "") if text.startswith("step") else folder.text
    folder.write(base.replace("step: 60s\n", "") + text if text.startswith("step") else base + text)
    assert folder.look() == []
    assert says in folder.watch.refused["small"]
    folder.write(folder.text + "alerts: {for: 2 of 3}\n")
    assert len(folder.look()) == 1
    assert folder.watch.refused == {}


def test_a_file_that_vanished_leaves_the_old_one_in_force_and_says_so(folder: Folder) -> None:
    folder.path.unlink()
    assert folder.look() == []
    assert "cannot read the job file" in folder.watch.refused["small"]


def test_a_query_that_the_model_needs_cannot_go_before_a_model_without_it_is_there(folder: Folder) -> None:
    folder.write(folder.text.replace("  cpu: demo_cpu\n", ""))
    assert folder.look() == []
    assert "it needs the query 'cpu'" in folder.watch.refused["small"]
    assert "foreshock train" in folder.watch.refused["small"]


def test_a_file_takes_effect_when_the_model_that_it_needs_is_there(
    folder: Folder, trained: Any, tmp_path: Path
) -> None:
    from datetime import timedelta

    from foreshock_pipelines.jobs.train import train

    registry = Registry(tmp_path / "models")
    detector, _ = Registry(trained.registry).load("small")
    registry.publish(detector, "small", {"entity": ["instance"], "step": 60.0})
    folder.watch = JobFiles({"small": folder.path}, registry)
    folder.write(folder.text.replace("  cpu: demo_cpu\n", ""))
    assert folder.look() == []
    train(load_job(folder.path), registry, start=trained.windows.end - timedelta(hours=12))
    assert [job.features for job in folder.look()] == [trained.job.features[1:]]
