"""Tuning: what it finds, what it publishes, and what it refuses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from foreshock_models.detectors import Choice, Int
from foreshock_models.errors import ConfigError, DataError, JobError
from foreshock_models.panel import Panel
from foreshock_pipelines.jobs.train import train
from foreshock_pipelines.jobs.tune import tune
from foreshock_pipelines.promotion.policy import IF_BETTER
from foreshock_pipelines.registry import Registry
from foreshock_pipelines.tuning import settings
from foreshock_pipelines.tuning.search import Trial
from foreshock_pipelines.tuning.settings import tune_settings
from foreshock_pipelines.tuning.storage import search_folder

pytestmark = pytest.mark.ray
SPACE = {"iforest": {"smoothing": Int(1, 60, 6, log=True)}}
SLOW_TO_SEE = {"iforest": {"n_trees": 15, "smoothing": 60}}
"""The mean of an hour: there is something to gain."""


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models")


def test_tuning_gains_and_publishes_a_challenger_beside_the_champion(
    trained: Any, registry: Registry, ray_cluster: None
) -> None:
    train(trained.job, registry)
    champion = registry.champion("small")
    seen: list[Trial] = []
    job = trained.job.model_copy(update={"detectors": SLOW_TO_SEE})
    report = tune(job, registry, trials=6, space=SPACE, on_trial=seen.append)
    assert report.tuned.auc_pr > report.tuned.default_auc_pr
    assert report.settings["iforest"]["n_trees"] == 15  # of the job file, not searched
    assert report.settings["iforest"]["smoothing"] < 60
    assert report.aliases == ("challenger",)
    assert registry.champion("small") == champion
    manifest = registry.get("small", "challenger").manifest
    assert manifest["settings"] == report.settings
    assert manifest["comparison"]["reason"] == report.comparison.reason
    assert len(report.to_pandas()) == 6
    assert {t.state for t in seen} == {"running", "done"}
    assert sorted({t.number for t in seen}) == list(range(6))


def test_a_winner_is_promoted_only_where_that_is_asked_for(
    trained: Any, registry: Registry, ray_cluster: None
) -> None:
    # its newest rows hold incidents, which count as false alerts: with so many allowed they decide nothing; of 4 a
    # day, 10 alerts are allowed, and the challenger has 11
    job = trained.job.model_copy(update={"false_alerts": "6 per day"})
    weak = job.model_copy(update={"detectors": {"iforest": {"n_trees": 1, "max_samples": 2, "smoothing": 60}}})
    train(weak, registry)
    strong = {"iforest": {"n_trees": Choice((15,), 15), "smoothing": Int(1, 6, 6), "short": Int(5, 6, 5)}}
    report = tune(job, registry, trials=1, space=strong, promotion=IF_BETTER)
    assert report.comparison.won
    assert report.promoted
    assert registry.champion("small") == report.version


@pytest.mark.parametrize("known", [True, False], ids=["incidents known", "incidents unknown"])
def test_a_loser_is_not_promoted(known: bool, trained: Any, registry: Registry, ray_cluster: None) -> None:
    train(trained.job, registry)
    champion = registry.champion("small")
    job = trained.job.model_copy(update={"detectors": {"iforest": {}}})
    weak = {"iforest": {"n_trees": Choice((1,), 1), "max_samples": Choice((2,), 2), "smoothing": Choice((60,), 60)}}
    incidents = {i.entity: [(i.start, i.end)] for i in trained.incidents} if known else {}
    own = {"iforest": {"n_trees": 1}}
    report = tune(job, registry, trials=1, space=weak, detectors=own, labels=incidents, promotion="if_better")
    assert not report.comparison.won, report.comparison.reason
    assert registry.champion("small") == champion


def test_networks_report_while_they_train(trained: Any, registry: Registry, ray_cluster: None) -> None:
    seen: list[Trial] = []
    quick = {"lstm": {"epochs": 3, "max_windows": 1000, "patience": 9}}
    space = {"lstm": {"hidden": Int(4, 8, 6)}}
    report = tune(trained.job, registry, trials=2, detectors=quick, space=space, on_trial=seen.append)
    assert report.settings["lstm"]["epochs"] == 3
    early = [t for t in seen if t.state == "running" and t.auc_pr is not None]
    assert early  # after the second epoch
    assert {t.state for t in seen} <= {"running", "done", "stopped"}


def test_known_anomalies_are_the_objective_where_there_are_some(
    trained: Any, registry: Registry, ray_cluster: None
) -> None:
    labels = {i.entity: [(i.start, i.end)] for i in trained.incidents}
    end = max(i.end for i in trained.incidents)
    one = {"iforest": {"smoothing": Choice((6,), 6)}}
    report = tune(trained.job, registry, trials=1, space=one, labels=labels, end=end)
    assert report.comparison.basis == "labels"


@pytest.mark.slow
def test_auto_picks_detectors_and_what_it_picked_is_trained_again(
    trained: Any, registry: Registry, ray_cluster: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "CANDIDATES", ("iforest", "lstm"))  # each one costs a search of its own
    job = trained.job.model_copy(update={"detectors": {"auto": {"time": "20m", "trials": 1}}})
    train(job, registry)
    picked = registry.get("small").manifest["settings"]
    assert picked
    assert set(picked) <= {"iforest", "lstm"}
    train(job, registry)  # with what was picked, without another search
    assert registry.get("small").manifest["settings"] == picked


def test_a_single_feature_keeps_its_defaults_unless_anomalies_are_known(
    trained: Any, tmp_path: Path, ray_cluster: None
) -> None:
    panel = trained.windows.to_panel()
    one = Panel(
        panel.values[:, :1], panel.offsets, panel.entities, panel.features[:1], panel.timestamps, panel.step
    )
    job = trained.job.model_copy(update={"detectors": {"iforest": {"n_trees": 5}}})
    tuned = tune_settings(job, one, job.detector_params, trials=3, seconds=None, folder=tmp_path)
    assert tuned.settings == {"iforest": {"n_trees": 5}}
    assert len(tuned.trials) == 1
    assert "a single feature keeps its defaults" in tuned.notes[0]


def test_how_long_scores_are_averaged_is_searched_only_where_anomalies_are_known(
    trained: Any, tmp_path: Path, ray_cluster: None
) -> None:
    panel = trained.windows.to_panel()
    job = trained.job.model_copy(update={"detectors": {"iforest": {"n_trees": 5}}})
    known = {panel.entities[0]: [tuple(datetime.fromtimestamp(t / 1000, UTC) for t in panel.timestamps[-30::29])]}
    for labels, searched in (({}, False), (known, True)):
        folder = tmp_path / f"{searched}"
        folder.mkdir()
        tuned = tune_settings(
            job, panel, job.detector_params, trials=1, seconds=None, folder=folder, labels=labels
        )  # fmt: skip
        assert ("smoothing" in tuned.trials[0].params) is searched


def test_a_setting_is_searched_beside_the_other_detectors_as_they_were(
    trained: Any, tmp_path: Path, ray_cluster: None
) -> None:
    base = {"iforest": {"n_trees": 5, "smoothing": 60}, "subspace": {"window": 8}}
    space = {"iforest": {"smoothing": Choice((60,), 60)}, "subspace": {"ridge": Choice((0.1,), 0.1)}}
    panel = trained.windows.to_panel()
    tuned = tune_settings(trained.job, panel, base, trials=1, seconds=None, space=space, folder=tmp_path)
    forest, subspace = tuned.results
    assert forest.auc_pr == pytest.approx(subspace.auc_pr)  # with their defaults both are the same model
    assert forest.default_auc_pr == subspace.default_auc_pr == pytest.approx(forest.auc_pr)
    assert tuned.settings["subspace"]["window"] == 8


# -- bad input ------------------------------------------------------------------------------------------------
def test_labels_that_overlap_nothing_are_refused(trained: Any, registry: Registry, ray_cluster: None) -> None:
    when = datetime(2020, 1, 1, tzinfo=UTC)
    with pytest.raises(DataError, match="no label overlaps the rows"):
        tune(trained.job, registry, labels={"host-01": [(when, when)]})
    assert registry.models("small") == []


def test_a_space_that_no_trial_survives_is_said_with_the_reason(
    trained: Any, registry: Registry, ray_cluster: None
) -> None:
    space = {"iforest": {"max_samples": Choice((0,), 0)}}
    with pytest.raises(JobError, match=r"no setting of iforest survives: all 2 trials failed; the first one: \w+"):
        tune(trained.job, registry, trials=2, space=space)
    assert registry.models("small") == []


def test_a_time_too_short_for_one_trial_is_said(trained: Any, registry: Registry, ray_cluster: None) -> None:
    slow = {"lstm": {"epochs": 500, "patience": 500, "hidden": 96}}
    with pytest.raises(JobError, match="too short for one trial of lstm"):
        tune(trained.job, registry, trials=1, time="1500ms", detectors=slow)
    assert registry.models("small") == []


@pytest.mark.parametrize("wrong", [{"trials": 0}, {"time": "0s"}])
def test_no_trials_and_no_time_are_refused(trained: Any, registry: Registry, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        tune(trained.job, registry, **wrong)


def test_the_same_search_twice_at_a_time_is_refused_and_another_one_is_not(trained: Any, tmp_path: Path) -> None:
    with search_folder(tmp_path, trained.job, 16) as (folder, _):
        with (
            pytest.raises(JobError, match="under way in another process"),
            search_folder(tmp_path, trained.job, 16),
        ):
            pass
        assert folder.exists()
        with search_folder(tmp_path, trained.job, 17) as (other, _):
            assert other != folder


@pytest.mark.parametrize(("ends", "stays"), [(KeyboardInterrupt, True), (JobError, False), (None, False)])
def test_only_an_interrupted_search_is_kept(
    trained: Any, tmp_path: Path, ends: type[BaseException] | None, stays: bool
) -> None:
    with suppress(KeyboardInterrupt, JobError), search_folder(tmp_path, trained.job) as (folder, _):
        if ends is not None:
            raise ends
    assert folder.exists() is stays


# -- death ----------------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_a_search_that_was_killed_goes_on_where_it_was(
    trained: Any, registry: Registry, ray_cluster: None, tmp_path: Path
) -> None:
    storage = tmp_path / "tune"
    script = textwrap.dedent(f"""
        import ray
        ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100_000_000)
        from pathlib import Path
        from foreshock_models.detectors import Int
        from foreshock_pipelines.jobfile import load_job
        from foreshock_pipelines.jobs.tune import tune
        from foreshock_pipelines.promotion.policy import IF_BETTER
        from foreshock_pipelines.registry import Registry
        tune(load_job({str(trained.file)!r}), Registry({registry.uri!r}), trials=12, space={SPACE!r},
             storage=Path({str(storage)!r}), on_trial=lambda t: print(t.number, t.state, flush=True))
    """)
    dying = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "RAY_ADDRESS": "local"},
    )  # fmt: skip
    assert dying.stdout is not None
    done = 0
    for line in dying.stdout:
        done += line.endswith("done\n")
        if done == 3:
            time.sleep(3)  # where the search stands is saved every two seconds
            break
    os.killpg(dying.pid, signal.SIGKILL)
    dying.wait()
    dying.stdout.close()
    assert done == 3
    seen: list[Trial] = []
    report = tune(trained.job, registry, trials=12, space=SPACE, storage=storage, on_trial=seen.append)
    again = {t.number for t in seen if t.state == "done"}
    assert len(report.tuned.trials) == 12
    assert all(t.state == "done" for t in report.tuned.trials)
    assert len(again) < 12  # those that had ended when it died were not done twice
    assert list(storage.iterdir()) == []
