"""A judge marks models as they would serve, and lets each detector score an exam once."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from foreshock_models.calibration.budget import Budget
from foreshock_models.detectors import Detector, Ensemble, IForest, Subspace
from foreshock_pipelines.datasets.demo import demo_fleet
from foreshock_pipelines.jobs.exam import Exam, set_exam, split_at
from foreshock_pipelines.jobs.judge import CLEARLY_PLANTED, Judge, gain

PANEL = demo_fleet(hosts=2, days=1.5, incidents=1)[0].to_panel()
SINCE = split_at(PANEL, 0.7)
ROWS = PANEL.take(PANEL.timestamps < SINCE)
BUDGET = Budget.parse("1 per day")
EXAMS = [set_exam(PANEL, SINCE, seed=seed) for seed in (1, 2)]


@pytest.fixture(scope="module")
def members() -> dict[str, Detector]:
    forest = IForest(n_trees=15).fit(ROWS, budget=BUDGET)
    return {"iforest": forest, "subspace": Subspace(window=8).fit(ROWS, budget=BUDGET)}


def test_the_mark_of_a_model_is_that_of_its_scores(members: dict[str, Detector]) -> None:
    both = Ensemble().join(members, ROWS, BUDGET)
    assert Judge(EXAMS, ROWS, BUDGET).mark(members) == pytest.approx(np.mean([exam.mark(both) for exam in EXAMS]))


def test_the_mark_of_a_single_detector_is_its_own(members: dict[str, Detector]) -> None:
    alone = Judge(EXAMS, ROWS, BUDGET).mark({"iforest": members["iforest"]})
    assert alone == pytest.approx(np.mean([exam.mark(members["iforest"]) for exam in EXAMS]))


def test_each_detector_scores_an_exam_once_on_another_machine_too(
    members: dict[str, Detector], monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = Judge(EXAMS, ROWS, BUDGET)
    mark = judge.mark(members)
    elsewhere, there = pickle.loads(pickle.dumps((judge, members)))
    monkeypatch.delattr(Exam, "raw")
    assert judge.mark(members) == mark
    assert elsewhere.mark(there) == mark


# -- a gain ---------------------------------------------------------------------------------------------------
def test_with_known_anomalies_a_gain_on_one_of_them_alone_is_none(members: dict[str, Detector]) -> None:
    begins = [datetime.fromtimestamp(SINCE / 1000, UTC) + timedelta(hours=hour) for hour in (1, 3, 5, 7)]
    exam = set_exam(PANEL, SINCE, labels={PANEL.entities[0]: [(t, t + timedelta(minutes=20)) for t in begins]})
    label = exam.papers[0].label[exam.papers[0].panel.timestamps >= SINCE]
    first = label & (np.cumsum(label) <= label.sum() / 4)
    plain = np.random.default_rng(0).random(len(label))
    before, one, all_four = (
        [exam.average_precision([scores], without=number) for number in range(exam.n_anomalies)]
        for scores in (plain, plain + 0.5 * first, plain + 0.5 * label)
    )
    assert len(before) == 4
    assert not gain(before, one, apart=False).clear
    assert gain(before, all_four, apart=False).clear
    assert Judge([exam], ROWS, BUDGET).gain(members, members).mean == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_a_gain_that_chance_gives_is_none(seed: int) -> None:
    noise = np.random.default_rng(seed).normal(0, 0.05, 5)
    assert not gain([0.4] * 5, list(0.4 + noise - noise.mean())).clear


def test_a_gain_on_one_exam_alone_is_none() -> None:
    assert not gain([0.4] * 5, [0.7, 0.4, 0.4, 0.4, 0.4]).clear


def test_a_gain_that_is_the_same_each_time_is_one() -> None:
    assert gain([0.4, 0.3, 0.5, 0.4, 0.4], [0.44, 0.35, 0.55, 0.43, 0.46]).clear


def test_a_gain_on_planted_anomalies_must_be_larger() -> None:
    before, after = [0.4] * 5, [0.42] * 5
    assert gain(before, after).clear
    assert not gain(before, after, clearly=CLEARLY_PLANTED).clear


def test_a_gain_too_small_to_matter_is_none() -> None:
    assert not gain([0.4] * 5, [0.401] * 5).clear
