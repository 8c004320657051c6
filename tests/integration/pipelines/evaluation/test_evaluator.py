"""An evaluator scores models as they would serve, and each detector scores an evaluation set once."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from foreshock_models.calibration.budget import Budget
from foreshock_models.detectors import Detector, Ensemble, IForest, Subspace
from foreshock_pipelines.datasets.demo import demo_fleet
from foreshock_pipelines.evaluation.evaluation_set import EvaluationSet, build_evaluation_set, split_time
from foreshock_pipelines.evaluation.evaluator import MIN_GAIN_INJECTED, Evaluator, improvement, jackknife_error

PANEL = demo_fleet(hosts=2, days=1.5, incidents=1)[0].to_panel()
SINCE = split_time(PANEL, 0.7)
ROWS = PANEL.take(PANEL.timestamps < SINCE)
BUDGET = Budget.parse("1 per day")
SETS = [build_evaluation_set(PANEL, SINCE, seed=seed) for seed in (1, 2)]


@pytest.fixture(scope="module")
def members() -> dict[str, Detector]:
    forest = IForest(n_trees=15).fit(ROWS, budget=BUDGET)
    return {"iforest": forest, "subspace": Subspace(window=8).fit(ROWS, budget=BUDGET)}


def test_the_average_precision_of_a_model_is_that_of_its_scores(members: dict[str, Detector]) -> None:
    both = Ensemble().join(members, ROWS, BUDGET)
    assert Evaluator(SETS, ROWS, BUDGET).average_precision(members) == pytest.approx(
        np.mean([one.average_precision(both) for one in SETS])
    )


def test_the_average_precision_of_a_single_detector_is_its_own(members: dict[str, Detector]) -> None:
    alone = Evaluator(SETS, ROWS, BUDGET).average_precision({"iforest": members["iforest"]})
    assert alone == pytest.approx(np.mean([one.average_precision(members["iforest"]) for one in SETS]))


def test_each_detector_scores_an_evaluation_set_once_on_another_machine_too(
    members: dict[str, Detector], monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluator = Evaluator(SETS, ROWS, BUDGET)
    auc_pr = evaluator.average_precision(members)
    elsewhere, there = pickle.loads(pickle.dumps((evaluator, members)))
    monkeypatch.delattr(EvaluationSet, "raw_scores")
    assert evaluator.average_precision(members) == auc_pr
    assert elsewhere.average_precision(there) == auc_pr


# -- improvements -----------------------------------------------------------------------------------------------
def test_with_known_anomalies_a_gain_on_one_of_them_alone_is_none(members: dict[str, Detector]) -> None:
    begins = [datetime.fromtimestamp(SINCE / 1000, UTC) + timedelta(hours=hour) for hour in (1, 3, 5, 7)]
    evaluation = build_evaluation_set(
        PANEL, SINCE, labels={PANEL.entities[0]: [(t, t + timedelta(minutes=20)) for t in begins]}
    )
    label = evaluation.replicates[0].label[evaluation.replicates[0].panel.timestamps >= SINCE]
    first = label & (np.cumsum(label) <= label.sum() / 4)
    plain = np.random.default_rng(0).random(len(label))
    before, one, all_four = (
        [evaluation.average_precision_of([scores], evaluation.numbers != number) for number in range(4)]
        for scores in (plain, plain + 0.5 * first, plain + 0.5 * label)
    )
    assert evaluation.n_anomalies == 4
    assert not improvement(before, one, independent=False).significant
    assert improvement(before, all_four, independent=False).significant
    assert Evaluator([evaluation], ROWS, BUDGET).improvement(members, members).mean == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_a_gain_that_chance_gives_is_none(seed: int) -> None:
    noise = np.random.default_rng(seed).normal(0, 0.05, 5)
    assert not improvement([0.4] * 5, list(0.4 + noise - noise.mean())).significant


def test_a_gain_on_one_evaluation_set_alone_is_none() -> None:
    assert not improvement([0.4] * 5, [0.7, 0.4, 0.4, 0.4, 0.4]).significant


def test_a_gain_that_is_the_same_each_time_is_one() -> None:
    assert improvement([0.4, 0.3, 0.5, 0.4, 0.4], [0.44, 0.35, 0.55, 0.43, 0.46]).significant


def test_a_gain_on_injected_anomalies_must_be_larger() -> None:
    before, after = [0.4] * 5, [0.42] * 5
    assert improvement(before, after).significant
    assert not improvement(before, after, min_gain=MIN_GAIN_INJECTED).significant


def test_a_gain_too_small_to_matter_is_none() -> None:
    assert not improvement([0.4] * 5, [0.401] * 5).significant


def test_the_standard_error_of_a_gain_tells_equal_models_from_better_ones() -> None:
    evaluation = SETS[0]
    label = evaluation.numbers >= 0
    rng = np.random.default_rng(0)

    def model(signal: float) -> list[np.ndarray]:
        """Scores that see each anomaly more or less well, by chance."""
        seen = rng.normal(signal, 1.0, evaluation.n_anomalies)
        return [np.where(label, seen[evaluation.numbers], 0.0) + rng.normal(0.0, 1.0, len(label))]

    def better(before: list[np.ndarray], after: list[np.ndarray]) -> bool:
        gain = evaluation.average_precision_of(after) - evaluation.average_precision_of(before)
        return gain > 2 * jackknife_error(evaluation, before, after)

    assert sum(better(model(1.5), model(1.5)) for _ in range(20)) <= 2
    assert sum(better(model(0.5), model(2.5)) for _ in range(5)) >= 4


def test_a_single_anomaly_has_no_standard_error() -> None:
    first = datetime.fromtimestamp(SINCE / 1000, UTC) + timedelta(hours=1)
    evaluation = build_evaluation_set(PANEL, SINCE, labels={PANEL.entities[0]: [(first, first)]})
    scores = [np.arange(len(evaluation.numbers), dtype=float)]
    assert jackknife_error(evaluation, scores, scores) == np.inf
