"""A judge marks models as they would serve, and lets each detector score an exam once."""

from __future__ import annotations

import pickle

import pytest

from foreshock_models.calibration.budget import Budget
from foreshock_models.detectors import Detector, Ensemble, IForest, Subspace
from foreshock_pipelines.datasets.demo import demo_fleet
from foreshock_pipelines.jobs.exam import Exam, set_exam, split_at
from foreshock_pipelines.jobs.judge import Judge

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
    assert Judge(EXAMS, ROWS, BUDGET).marks(members) == pytest.approx([exam.mark(both) for exam in EXAMS])


def test_the_mark_of_a_single_detector_is_its_own(members: dict[str, Detector]) -> None:
    alone = Judge(EXAMS, ROWS, BUDGET).marks({"iforest": members["iforest"]})
    assert alone == pytest.approx([exam.mark(members["iforest"]) for exam in EXAMS])


def test_each_detector_scores_an_exam_once_on_another_machine_too(
    members: dict[str, Detector], monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = Judge(EXAMS, ROWS, BUDGET)
    marks = judge.marks(members)
    elsewhere, there = pickle.loads(pickle.dumps((judge, members)))
    monkeypatch.delattr(Exam, "raw")
    assert judge.marks(members) == marks
    assert elsewhere.marks(there) == marks
