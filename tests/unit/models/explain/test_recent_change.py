"""What moved is named before what is only unusual."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from foreshock_models.detectors import IForest
from foreshock_models.explain.recent_change import lookback_rows, recent_change, reweight
from foreshock_models.panel import Panel
from foreshock_models.usual_values import Baseline

ROWS = st.integers(1, 5).map(lambda n: (n, 4))


def quiet(n: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(0)
    return rng.normal(0, 0.1, (n, 3)) + np.array([0.0, 5.0, 100.0])


def test_a_feature_that_has_been_odd_for_long_is_not_the_cause_of_what_begins_now() -> None:
    model = IForest(n_trees=20).fit(quiet(800))
    x = quiet(400)
    x[100:, 0] += 2.0  # odd for hours, and far out
    x[300:, 1] += 0.6  # moves now
    alone, weighed = (model.explain(x, [306], reweighted=choice) for choice in (False, True))
    assert alone.top(0)[0][0] == "feature_0"
    assert weighed.top(0)[0][0] == "feature_1"
    np.testing.assert_allclose(weighed.attributions.sum(), alone.attributions.sum())


def test_movement_is_measured_in_what_a_feature_ever_did() -> None:
    train = quiet(800)
    train[400, 2] += 1000.0
    panel = Panel.of(quiet(200))
    panel.values[150:, 1] += 1.0
    panel.values[150:, 2] += 10.0
    moved = recent_change(panel, np.array([157]), Baseline.fit(Panel.of(train)).range_of(panel))
    assert moved[0].argmax() == 1
    assert moved[0, 2] < 0.05


def test_what_jumps_all_the_time_has_not_moved() -> None:
    values = quiet(300)
    values[:, 0] += np.where(np.arange(300) % 5 == 0, 1.0, 0.0)
    values[250:, 1] += 0.6
    moved = recent_change(Panel.of(values), np.array([255]), np.array([[1.4, 1.4, 1.4]]))
    assert moved[0].argmax() == 1


def test_what_broke_hours_ago_and_stands_still_is_named_before_what_jumps_as_ever() -> None:
    train = quiet(800)
    for first in (100, 300, 500, 700):  # what all of them do at times is far more than their noise
        train[first : first + 25] += 1.0
    x = quiet(400)
    x[200:, 1] = 7.0  # pinned there for longer than movement looks back
    assert IForest(n_trees=20).fit(train).explain(x, [390]).top(0)[0][0] == "feature_1"


def test_constant_features_and_gaps_have_a_movement_too() -> None:
    values = np.column_stack([np.full(200, 4.0), np.zeros(200), np.full(200, np.nan)])
    value_range = Baseline.fit(Panel.of(values)).range_of(Panel.of(values))
    rows = values.copy()
    rows[150:, :2] += 1.0
    moved = recent_change(Panel.of(rows), np.array([100, 155]), value_range)
    np.testing.assert_array_equal(moved[0], 0.0)
    assert np.isfinite(moved).all()
    assert (moved[1] > 0).tolist() == [True, True, False]


def test_only_rows_before_are_looked_at() -> None:
    panel = Panel.of(quiet(300))
    changed = Panel.of(np.where(np.arange(300)[:, None] > 200, 1e6, panel.values))
    changed.values[: 200 - lookback_rows(panel.step)] = -1e6
    value_range = np.ones((1, 3))
    np.testing.assert_allclose(
        recent_change(panel, np.array([200]), value_range), recent_change(changed, np.array([200]), value_range)
    )


def test_what_moved_is_named_first_even_where_the_score_is_below_that_of_the_background() -> None:
    found = reweight(np.array([[0.2, 0.1, -1.0, -0.3]]), np.array([[0.0, 0.8, 0.1, 0.0]]))
    assert found.argmax() == 1
    np.testing.assert_allclose(found.sum(), -1.0)


@given(ROWS.flatmap(lambda shape: arrays(np.float64, shape, elements=st.floats(-10, 10))), st.integers(0, 9))
def test_weighing_keeps_every_sum(attributions: NDArray[np.float64], seed: int) -> None:
    moved = np.maximum(np.random.default_rng(seed).normal(size=attributions.shape), 0.0)
    found = reweight(attributions, moved)
    np.testing.assert_allclose(found.sum(axis=1), attributions.sum(axis=1), atol=1e-9)
