"""Evaluation sets: held-out rows with anomalies that are known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from foreshock_models.detectors import IForest
from foreshock_models.errors import NotEnoughData
from foreshock_pipelines.datasets.demo import demo_fleet
from foreshock_pipelines.evaluation.evaluation_set import build_evaluation_set, split_time

PANEL = demo_fleet(hosts=3, days=1.5, incidents=1)[0].to_panel()
SINCE = split_time(PANEL, 0.7)


def at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def test_anomalies_are_injected_only_in_the_rows_that_count() -> None:
    evaluation = build_evaluation_set(PANEL, SINCE)
    assert evaluation.basis == "injected"
    before = PANEL.timestamps < SINCE
    for replicate in evaluation.replicates:
        np.testing.assert_array_equal(replicate.panel.values[before], PANEL.values[before])
        assert replicate.label[~before].any()
        assert not replicate.label[before].any()


def test_few_rows_are_injected_into_several_times() -> None:
    replicates = build_evaluation_set(PANEL.select(PANEL.entities[:1]), SINCE).replicates
    assert len(replicates) > 4
    assert sum(np.diff(p.label.astype(int)).clip(0).sum() for p in replicates) >= 60
    assert not np.array_equal(replicates[0].label, replicates[1].label)


def test_labels_that_lie_in_these_rows_are_used_in_place_of_injected_ones() -> None:
    last = at(int(PANEL.timestamps.max()))
    evaluation = build_evaluation_set(PANEL, SINCE, labels={PANEL.entities[0]: [(last - timedelta(hours=1), last)]})
    assert evaluation.basis == "labels"
    assert evaluation.replicates[0].label.sum() == 61
    np.testing.assert_array_equal(evaluation.replicates[0].panel.values, PANEL.values)


def test_an_evaluation_set_keeps_no_more_rows_than_detectors_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = build_evaluation_set(PANEL, SINCE, seed=1)
    monkeypatch.setattr("foreshock_pipelines.evaluation.evaluation_set.CONTEXT_ROWS", 100)
    short = build_evaluation_set(PANEL, SINCE, seed=1)
    detector = IForest(n_trees=5, long=20).fit(PANEL.take(PANEL.timestamps < SINCE))
    assert short.replicates[0].panel.n_rows < whole.replicates[0].panel.n_rows
    assert short.average_precision(detector) == whole.average_precision(detector)


def test_labels_that_lie_before_these_rows_leave_injected_ones() -> None:
    first = at(int(PANEL.timestamps.min()))
    assert build_evaluation_set(PANEL, SINCE, labels={PANEL.entities[0]: [(first, first)]}).basis == "injected"


def test_a_detector_gets_a_better_average_precision_than_chance_and_the_same_one_each_time() -> None:
    evaluation = build_evaluation_set(PANEL, SINCE)
    detector = IForest(n_trees=15).fit(PANEL.take(PANEL.timestamps < SINCE))
    chance = max(
        replicate.label.sum() / (replicate.panel.timestamps >= SINCE).sum() for replicate in evaluation.replicates
    )
    assert evaluation.average_precision(detector) == evaluation.average_precision(detector)
    assert evaluation.average_precision(detector) > 2 * chance


def test_scores_that_say_nothing_get_what_chance_gives() -> None:
    evaluation = build_evaluation_set(PANEL, SINCE)
    rows = [int((replicate.panel.timestamps >= SINCE).sum()) for replicate in evaluation.replicates]
    assert evaluation.average_precision_of([np.zeros(n) for n in rows]) == pytest.approx(evaluation.base_rate)
    assert 0.02 < evaluation.base_rate < 0.12


def test_too_few_rows_are_no_evaluation_set() -> None:
    with pytest.raises(NotEnoughData, match="too few to evaluate detectors on"):
        build_evaluation_set(PANEL, split_time(PANEL, 0.95))
