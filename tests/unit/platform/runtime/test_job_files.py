"""Job files that change: staged, then in force."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from foreshock.logs import set_up_logging
from foreshock.runtime.job_files import JobFiles
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
        """Twice, as a change must stand still from one look to the next."""
        found = [*self.watch.changed(self.jobs), *self.watch.changed(self.jobs)]
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
        (
            "notify: [{type: webhok, url: 'http://x/y'}]\n",
            "notify.0: no notifier 'webhok'; did you mean 'webhook'?",
        ),
        ("notify: [{type: webhook, url: 'x/y'}]\n", "notify.0: "),
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


def test_a_file_that_an_editor_writes_in_pieces_is_taken_up_when_it_stands_still(folder: Folder) -> None:
    assert folder.look() == []
    folder.write("")
    assert folder.watch.changed(folder.jobs) == []
    folder.write(folder.text + "alerts: {for: 2 of 3}\n")
    assert folder.watch.changed(folder.jobs) == []
    folder.write(folder.text + "alerts: {for: 2 of 3, resolve_after: 20m}\n")
    assert folder.watch.changed(folder.jobs) == []
    assert folder.watch.refused == {}, "no half of it was looked at"
    assert [str(job.alerts.resolve_after) for job in folder.watch.changed(folder.jobs)] == ["0:20:00"]


def test_a_file_that_is_moved_into_place_is_taken_up(folder: Folder) -> None:
    assert folder.look() == []
    other = folder.path.with_name("new")
    other.write_text(folder.text + "alerts: {for: 2 of 3}\n")
    same = folder.path.stat()
    os.utime(other, ns=(same.st_atime_ns, same.st_mtime_ns))
    other.replace(folder.path)
    assert len(folder.look()) == 1


def test_a_link_whose_target_is_replaced_is_taken_up(folder: Folder) -> None:
    old, new = folder.path.with_name("1"), folder.path.with_name("2")
    folder.path.rename(old)
    folder.path.symlink_to(old.name)
    assert folder.look() == []
    new.write_text(folder.text + "alerts: {for: 2 of 3}\n")
    folder.path.unlink()
    folder.path.symlink_to(new.name)
    old.unlink()
    assert len(folder.look()) == 1


def test_a_job_that_is_renamed_in_its_file_says_what_to_do(folder: Folder) -> None:
    folder.write(folder.text.replace("name: small", "name: large"))
    assert folder.look() == []
    assert "the job was 'small' and is now 'large'; restart" in folder.watch.refused["small"]


def test_a_refused_file_is_tried_again_after_a_minute_though_it_did_not_change(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write(folder.text + "false_alerts: ${BUDGET_OF_TEST}\n".replace("false_alerts", "holidays"))
    clock = [0.0]
    outcomes: list[bool] = []
    folder.watch = JobFiles(
        folder.watch.files, folder.watch.registry, lambda _, holds: outcomes.append(holds), lambda: clock[0]
    )
    assert folder.look() == []
    monkeypatch.setenv("BUDGET_OF_TEST", "DE")
    assert folder.look() == []
    clock[0] = 61.0
    assert [job.holidays for job in folder.look()] == ["DE"]
    assert outcomes == [False, True]


def test_another_query_of_the_same_name_waits_for_a_model_of_it(
    folder: Folder, trained: Any, tmp_path: Path
) -> None:
    detector, _ = Registry(trained.registry).load("small")
    registry = Registry(tmp_path / "models")
    queries = {name: f"demo_{name}" for name in detector.features_in_}
    registry.publish(detector, "small", {"entity": ["instance"], "step": 60.0, "queries": queries})
    online = folder.text.replace(f"parquet: {trained.file.parent}/fleet.parquet", "prometheus: 'http://x'")
    folder.watch = JobFiles({"small": folder.path}, registry)
    folder.write(online.replace("cpu: demo_cpu", "cpu:   demo_cpu "))
    assert len(folder.look()) == 1
    folder.write(online.replace("cpu: demo_cpu", "cpu: demo_cpu * 100"))
    assert folder.look() == []
    assert "it was trained on another query of 'cpu'" in folder.watch.refused["small"]


class BrokenRegistry(Registry):
    """Fails for one job in a way that nobody thought of."""

    def champion(self, job: str) -> str | None:
        if job == "broken":
            raise RuntimeError("unforeseen")
        return None


def test_a_file_that_fails_in_an_unforeseen_way_loses_no_change_of_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging()
    text = "source: {prometheus: 'http://x'}\nqueries: {cpu: up}\nentity: [instance]\n"
    files = {name: tmp_path / f"{name}.yaml" for name in ("a", "broken", "c")}
    for name, path in files.items():
        path.write_text(f"name: {name}\n{text}")
    outcomes: list[tuple[str, bool]] = []
    watch = JobFiles(files, BrokenRegistry(tmp_path), lambda name, holds: outcomes.append((name, holds)))
    assert {job.name for job in watch.changed({})} == {"a", "c"}
    assert watch.refused == {"broken": f"{files['broken']}: cannot be loaded: RuntimeError"}
    assert ("broken", False) in outcomes and ("c", True) in outcomes
    said = capsys.readouterr().err
    assert "not taken up" in said and "broken" in said


def test_a_file_whose_secrets_are_elsewhere_is_read_again_every_minute(folder: Folder, tmp_path: Path) -> None:
    now = 0.0
    secret = tmp_path / "secret"
    secret.write_text("5 of 7")
    folder.write(f"{folder.text}alerts: {{for: '${{file:{secret}}}'}}\n")
    folder.watch = JobFiles({"small": folder.path}, folder.watch.registry, now=lambda: now)
    assert [str(job.alerts.for_) for job in folder.look()] == ["5 of 7"]
    secret.write_text("6 of 7")
    assert folder.look() == []
    now = 61.0
    assert [str(job.alerts.for_) for job in folder.look()] == ["6 of 7"]
    assert folder.look() == []
