"""Retraining: who serves afterwards, and why."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foreshock_models.drift import InputDistribution
from foreshock_models.panel import Panel
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.jobs.drift import drift
from foreshock_pipelines.jobs.train import train
from foreshock_pipelines.promotion.policy import IF_NOT_WORSE
from foreshock_pipelines.registry import Registry
from foreshock_pipelines.training.exclusions import Exclusion

retrain = partial(train, promotion=IF_NOT_WORSE)
GOOD = {"iforest": {"n_trees": 15}}
BAD = {"iforest": {"n_trees": 1, "max_samples": 2, "short": 2, "long": 3, "smoothing": 1}}


def asking(job: Any, detectors: dict[str, dict[str, Any]]) -> Job:
    return job.model_copy(update={"detectors": detectors})


def known(trained: Any) -> dict[str, list[tuple[datetime, datetime]]]:
    """The incidents of the fleet, as labels."""
    found: dict[str, list[tuple[datetime, datetime]]] = {}
    for incident in trained.incidents:
        found.setdefault(incident.entity, []).append((incident.start, incident.end))
    return found


def served(trained: Any, folder: Path, detectors: dict[str, dict[str, Any]]) -> Registry:
    """A registry whose champion was trained a day before the end."""
    registry = Registry(folder)
    train(asking(trained.job, detectors), registry, end=trained.windows.end - timedelta(days=1))
    return registry


def test_the_first_training_of_a_job_is_the_champion_at_once(trained: Any, tmp_path: Path) -> None:
    report = retrain(trained.job, Registry(tmp_path))
    assert report.aliases == ("champion",)
    assert report.comparison is None


def test_a_challenger_that_is_not_worse_takes_over_and_a_rollback_takes_it_back(
    trained: Any, tmp_path: Path
) -> None:
    registry = served(trained, tmp_path, BAD)
    before = registry.champion("small")
    report = retrain(asking(trained.job, GOOD), registry, labels=known(trained))
    assert report.aliases == ("champion",)
    assert report.comparison is not None
    assert report.comparison["basis"] == "labels and injected"
    assert report.comparison["challenger"]["auc_pr"] > report.comparison["champion"]["auc_pr"]
    assert registry.rollback("small").version == before


def test_a_worse_challenger_stays_one_and_the_manifest_says_why(trained: Any, tmp_path: Path) -> None:
    registry = served(trained, tmp_path, GOOD)
    before = registry.champion("small")
    report = retrain(asking(trained.job, BAD), registry)
    assert registry.champion("small") == before
    assert report.aliases == ("challenger",)
    found = registry.get("small", "challenger").manifest["comparison"]
    assert found["won"] is False
    assert found["champion_version"] == before
    assert "AUC-PR had to be at least" in found["reason"]
    assert found == report.comparison


def test_the_challenger_has_not_seen_the_rows_that_it_is_compared_by(trained: Any, tmp_path: Path) -> None:
    registry = served(trained, tmp_path, GOOD)
    report = retrain(asking(trained.job, GOOD), registry)
    assert report.comparison is not None
    assert registry.get("small", report.version).manifest["training"]["end"] < report.comparison["start"]


def test_scoring_goes_on_where_the_comparison_ended(trained: Any, tmp_path: Path) -> None:
    registry = served(trained, tmp_path, GOOD)
    retrain(asking(trained.job, GOOD), registry)
    detector, _ = registry.load("small", "champion")
    seen = detector.calibrator_.state.arrays["calibration"]
    fresh, _ = registry.load("small", registry.models("small")[-1].version)
    assert not np.array_equal(seen, fresh.calibrator_.state.arrays["calibration"])


def test_excluded_rows_are_not_compared_by(trained: Any, tmp_path: Path) -> None:
    registry = served(trained, tmp_path, GOOD)
    job = asking(trained.job, GOOD)
    end = round(trained.windows.end.timestamp() * 1000)
    without = retrain(job, registry, exclude=[Exclusion(None, end - 3 * 3_600_000, end)]).comparison
    registry.rollback("small")
    with_incidents = retrain(job, registry).comparison
    assert without is not None
    assert with_incidents is not None
    assert without["challenger"]["false_alerts"] < with_incidents["challenger"]["false_alerts"]


def test_anomalies_that_people_confirmed_are_no_false_alerts_and_nothing_to_learn_from(
    trained: Any, tmp_path: Path
) -> None:
    registry = served(trained, tmp_path, GOOD)
    job = asking(trained.job, GOOD)
    blamed = retrain(job, registry)
    registry.rollback("small")
    confirmed = retrain(job, registry, labels=known(trained))
    assert blamed.comparison is not None
    assert confirmed.comparison is not None
    assert confirmed.comparison["challenger"]["false_alerts"] < blamed.comparison["challenger"]["false_alerts"]
    first = trained.windows.start
    other = retrain(job, registry, labels={trained.windows.entities[0]: [(first, first + timedelta(hours=1))]})
    learnt = [
        registry.get("small", r.version).manifest["training"]["fingerprint"] for r in (blamed, confirmed, other)
    ]
    assert learnt[0] == learnt[1] != learnt[2], "the incidents lie in rows that are compared by, the hour does not"


def test_so_many_versions_stay(trained: Any, tmp_path: Path) -> None:
    registry = served(trained, tmp_path, GOOD)
    made = [retrain(asking(trained.job, GOOD), registry, keep=2).version for _ in range(3)]
    assert {m.version for m in registry.models("small")} == {*made[1:], registry.champion("small")}


def test_what_was_tuned_stays_until_the_job_asks_for_other_detectors(trained: Any, tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    job = asking(trained.job, GOOD)
    detector, _ = Registry(trained.registry).load("small")
    manifest = Registry(trained.registry).get("small").manifest
    tuned = {"iforest": {"n_trees": 9}}
    extra = {key: manifest[key] for key in ("training", "queries", "inputs")}
    registry.publish(detector, "small", {**extra, "settings": tuned, "tuned": {"asked": GOOD}})
    retrain(job, registry)
    assert registry.models("small")[0].manifest["settings"] == tuned
    assert registry.models("small")[0].manifest["tuned"] == {"asked": GOOD}
    retrain(asking(trained.job, BAD), registry)
    assert registry.models("small")[0].manifest["settings"] == BAD


def test_the_drift_of_the_newest_day_is_known_per_feature(trained: Any) -> None:
    found = drift(trained.job, Registry(trained.registry))
    assert set(found) == set(trained.job.features)
    assert all(0 <= value < 1 for value in found.values())


@pytest.mark.parametrize("change", [lambda x: x * 3, lambda x: np.where(np.arange(len(x)) % 2, np.nan, x)])
def test_another_level_and_missing_samples_are_drift(change: Any) -> None:
    x = np.random.default_rng(0).normal(5, 1, 4000)
    inputs = InputDistribution.from_dict(InputDistribution.fit(Panel.of(x)).as_dict())
    assert inputs.psi(Panel.of(x))["feature_0"] == 0
    assert inputs.psi(Panel.of(change(x)))["feature_0"] > 0.25


def test_a_constant_that_moves_is_drift() -> None:
    inputs = InputDistribution.fit(Panel.of(np.full(500, 2.0)))
    assert inputs.psi(Panel.of(np.full(500, 2.0)))["feature_0"] == 0
    assert inputs.psi(Panel.of(np.full(500, 2.1)))["feature_0"] > 0.25
