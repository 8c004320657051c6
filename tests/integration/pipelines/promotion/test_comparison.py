"""A champion is replaced by what is better than it, or no worse; never by what is worse on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from foreshock_models.artifacts import load, save
from foreshock_models.detectors import Arrays, Detector, Ensemble, IForest, Scorer, make
from foreshock_models.explain.explanation import Explanation
from foreshock_models.panel import Panel
from foreshock_pipelines.datasets.demo import demo_fleet
from foreshock_pipelines.evaluation.evaluation_set import split_time
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.promotion.comparison import HELD_OUT_SHARE, Comparison, compare, recalibrate_on
from foreshock_pipelines.promotion.policy import IF_BETTER, IF_NOT_WORSE, PromotionPolicy
from foreshock_pipelines.registry import Registry
from foreshock_pipelines.training.fit import FitResult
from foreshock_pipelines.training.manifest import training_manifest

GOOD: dict[str, Any] = {"n_trees": 15}
ONE_SPLIT: dict[str, Any] = {"n_trees": 1, "max_samples": 2}
FEW_SPLITS: dict[str, Any] = {"n_trees": 2, "max_samples": 8}


class ConstantScorer(Scorer):
    """Gives every row the same score."""

    @property
    def context(self) -> int:
        return 0

    def score(self, panel: Panel, rows: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        return np.ones(panel.n_rows if rows is None else len(rows))

    def attribute(self, panel: Panel, rows: NDArray[np.int64]) -> Explanation:
        none = np.zeros(len(rows))
        return Explanation(panel.features, np.zeros((len(rows), panel.n_features)), none, none)

    def to_arrays(self) -> Arrays:
        return {}, {}


class Constant(Detector):
    name = "constant"

    def _fit_scorer(self, panel: Panel) -> ConstantScorer:
        return ConstantScorer()

    def _load_scorer(self, values: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> ConstantScorer:
        return ConstantScorer()


@dataclass(frozen=True)
class Fleet:
    """A fleet whose held-out rows hold incidents that nobody named, and a registry for its champion."""

    job: Job
    registry: Registry
    rows: Panel
    since: int

    @property
    def learnt(self) -> Panel:
        return self.rows.take(self.rows.timestamps < self.since)

    def fitted(self, rows: Panel | None = None, **params: Any) -> Detector:
        return IForest(**params).fit(self.learnt if rows is None else rows, budget=self.job.budget)

    def reign(self, champion: Detector, rows: Panel) -> None:
        """Publish a champion that was trained on these rows."""
        manifest = training_manifest(self.job, rows, {}, FitResult(champion, []), {})
        self.registry.publish(champion, self.job.name, manifest)

    def compared(self, challenger: Detector, policy: PromotionPolicy, **more: Any) -> Comparison:
        assert policy.criterion is not None
        return compare(
            self.job, self.registry, challenger, policy.criterion, learnt=self.learnt, rows=self.rows,
            since=self.since, **more,
        )  # fmt: skip


@pytest.fixture(params=[1, 2, 3])
def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> Fleet:
    return make_fleet(tmp_path, request.param)


def make_fleet(folder: Path, seed: int) -> Fleet:
    windows, _ = demo_fleet(hosts=4, days=2, incidents=3, incident_hours=3, seed=seed)
    job = Job.model_validate(
        {
            "name": "fleet",
            "source": {"parquet": str(folder / "none.parquet")},
            "queries": {name: name for name in windows.features},
            "entity": ["instance"],
            # the incidents count as false alerts: with so many allowed they decide nothing
            "false_alerts": "8 per day",
        }
    )
    rows = windows.to_panel()
    return Fleet(job, Registry(folder / "models"), rows, split_time(rows, 1 - HELD_OUT_SHARE))


def shuffled(panel: Panel) -> Panel:
    """Each feature has the values of another one."""
    values = np.ascontiguousarray(np.roll(panel.values, 1, axis=1))
    return Panel(values, panel.offsets, panel.entities, panel.features, panel.timestamps, panel.step)


def test_what_is_worse_on_purpose_never_beats_a_champion_that_has_seen_unknown_incidents(fleet: Fleet) -> None:
    fleet.reign(fleet.fitted(fleet.rows, **GOOD), fleet.rows)
    worse = {
        "one split": fleet.fitted(**ONE_SPLIT),
        "few splits": fleet.fitted(**FEW_SPLITS),
        "shuffled features": fleet.fitted(shuffled(fleet.learnt), **GOOD),
        "constant score": Constant().fit(fleet.learnt, budget=fleet.job.budget),
    }
    # who may be a little worse and does not win, does not win where it must be better
    outcomes = {name: fleet.compared(challenger, IF_NOT_WORSE) for name, challenger in worse.items()}
    assert not [(name, outcome.reason) for name, outcome in outcomes.items() if outcome.won]


def test_an_identical_challenger_is_not_better_and_not_worse(fleet: Fleet) -> None:
    fleet.reign(fleet.fitted(**GOOD), fleet.learnt)
    same = fleet.fitted(**GOOD)
    better, not_worse = fleet.compared(same, IF_BETTER), fleet.compared(same, IF_NOT_WORSE)
    assert better.challenger == better.champion
    assert not better.won
    assert not_worse.won, not_worse.reason


def test_a_truly_better_challenger_wins(fleet: Fleet) -> None:
    fleet.reign(fleet.fitted(fleet.rows, **ONE_SPLIT), fleet.rows)
    outcome = fleet.compared(fleet.fitted(**GOOD), IF_BETTER)
    assert outcome.won, outcome.reason


def test_one_known_anomaly_is_too_few_to_call_a_challenger_better(tmp_path: Path) -> None:
    fleet = make_fleet(tmp_path, seed=1)
    fleet.reign(fleet.fitted(**ONE_SPLIT), fleet.learnt)
    first = datetime.fromtimestamp(fleet.since / 1000, UTC) + timedelta(hours=1)
    labels = {fleet.rows.entities[0]: [(first, first + timedelta(hours=1))]}
    outcome = fleet.compared(fleet.fitted(**GOOD), IF_BETTER, labels=labels)
    assert outcome.basis == "labels"
    assert not outcome.won
    assert "one known anomaly is too few" in outcome.reason


def test_the_champion_is_compared_as_if_it_had_been_calibrated_before_the_held_out_rows(tmp_path: Path) -> None:
    fleet = make_fleet(tmp_path, seed=3)
    challenger = fleet.fitted(**GOOD)
    champion = fleet.fitted(**GOOD)  # of the same trees, and then calibrated on rows with the incidents
    fleet.reign(champion.calibrate(fleet.rows, fleet.job.budget), fleet.rows)
    outcome = fleet.compared(challenger, IF_NOT_WORSE)
    assert outcome.champion == outcome.challenger


# -- calibrating again ----------------------------------------------------------------------------------------
SMALL: dict[str, dict[str, Any]] = {
    "iforest": {"n_trees": 5},
    "subspace": {"window": 8},
    "discord": {},
    "lstm": {"epochs": 1, "max_windows": 500, "hidden": 4},
    "vae": {"epochs": 1, "max_windows": 500},
    "pyod:HBOS": {},
}


@pytest.fixture(scope="module")
def rows() -> Panel:
    return demo_fleet(hosts=2, days=1, incidents=1)[0].to_panel()


@pytest.mark.parametrize("name", [*SMALL, "per entity", "ensemble"])
def test_a_saved_model_that_is_calibrated_again_on_its_own_rows_stays_the_same(
    name: str, rows: Panel, tmp_path: Path
) -> None:
    if name == "ensemble":
        parts = {each: make(each, **SMALL[each]) for each in ("iforest", "subspace")}
        detector: Detector = Ensemble(parts).fit(rows)
    elif name == "per entity":
        detector = make("iforest", n_trees=5, per_entity=True).fit(rows)
    else:
        detector = make(name, **SMALL[name]).fit(rows)
    save(detector, tmp_path / "model")
    again = recalibrate_on(load(tmp_path / "model"), rows, detector.calibrator_.budget)
    np.testing.assert_allclose(again.score(rows).score, detector.score(rows).score, rtol=1e-5, atol=1e-6)
