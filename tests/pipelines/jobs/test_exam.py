"""What detectors are judged by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from foreshock_models.detectors import IForest
from foreshock_models.errors import NotEnoughData
from foreshock_pipelines.datasets.demo import demo_fleet
from foreshock_pipelines.jobs.exam import set_exam, split_at

PANEL = demo_fleet(hosts=3, days=1.5, incidents=1)[0].to_panel()
SINCE = split_at(PANEL, 0.7)


def at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def test_anomalies_are_planted_only_in_the_rows_that_count() -> None:
    exam = set_exam(PANEL, SINCE)
    assert exam.basis == "planted"
    before = PANEL.timestamps < SINCE
    for paper in exam.papers:
        np.testing.assert_array_equal(paper.panel.values[before], PANEL.values[before])
        assert paper.label[~before].any()
        assert not paper.label[before].any()


def test_few_rows_are_planted_into_several_times() -> None:
    papers = set_exam(PANEL.select(PANEL.entities[:1]), SINCE).papers
    assert len(papers) > 4
    assert sum(np.diff(p.label.astype(int)).clip(0).sum() for p in papers) >= 60
    assert not np.array_equal(papers[0].label, papers[1].label)


def test_labels_that_lie_in_these_rows_are_used_in_place_of_planted_ones() -> None:
    last = at(int(PANEL.timestamps.max()))
    exam = set_exam(PANEL, SINCE, labels={PANEL.entities[0]: [(last - timedelta(hours=1), last)]})
    assert exam.basis == "labels"
    assert exam.papers[0].label.sum() == 61
    np.testing.assert_array_equal(exam.papers[0].panel.values, PANEL.values)


def test_an_exam_keeps_no_more_rows_than_detectors_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = set_exam(PANEL, SINCE, seed=1)
    monkeypatch.setattr("foreshock_pipelines.jobs.exam.LOOK_BACK", 100)
    short = set_exam(PANEL, SINCE, seed=1)
    detector = IForest(n_trees=5, long=20).fit(PANEL.take(PANEL.timestamps < SINCE))
    assert short.papers[0].panel.n_rows < whole.papers[0].panel.n_rows
    assert short.mark(detector) == whole.mark(detector)


def test_labels_that_lie_before_these_rows_leave_planted_ones() -> None:
    first = at(int(PANEL.timestamps.min()))
    assert set_exam(PANEL, SINCE, labels={PANEL.entities[0]: [(first, first)]}).basis == "planted"


def test_a_detector_gets_a_better_mark_than_chance_and_the_same_one_each_time() -> None:
    exam = set_exam(PANEL, SINCE)
    detector = IForest(n_trees=15).fit(PANEL.take(PANEL.timestamps < SINCE))
    chance = max(paper.label.sum() / (paper.panel.timestamps >= SINCE).sum() for paper in exam.papers)
    assert exam.mark(detector) == exam.mark(detector)
    assert exam.mark(detector) > 2 * chance


def test_scores_that_say_nothing_get_what_chance_gives() -> None:
    exam = set_exam(PANEL, SINCE)
    rows = [int((paper.panel.timestamps >= SINCE).sum()) for paper in exam.papers]
    assert exam.average_precision([np.zeros(n) for n in rows]) == pytest.approx(exam.chance)
    assert 0.02 < exam.chance < 0.12


def test_too_few_rows_are_no_exam() -> None:
    with pytest.raises(NotEnoughData, match="too few to judge detectors by"):
        set_exam(PANEL, split_at(PANEL, 0.95))
