"""Streaming calibration as the reference has it, and the same in parts as in one."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.unit.models.kernels.inputs import Blocks, blocks, calibration_settings, calibration_state, seeds

from foreshock_models.kernels.compiled import calibration as compiled
from foreshock_models.kernels.layout import CALIBRATION, records, table_of
from foreshock_models.kernels.reference import calibration as reference


def raw_scores(rows: Blocks, seed: int) -> NDArray[np.float64]:
    """Scores around the location, with stretches far above it."""
    rng = np.random.default_rng(seed)
    raw = rng.gamma(2.0, 0.5, rows.n_rows)
    for _ in range(3):
        first = rng.integers(0, rows.n_rows)
        raw[first : first + rng.integers(1, 30)] += rng.choice([1.0, 5.0, 50.0])
    raw[rng.random(rows.n_rows) < 0.02] = np.nan
    return raw


def deviation_of(rows: Blocks, seed: int) -> NDArray[np.float64]:
    """Usual rows, some that deviate, some that nothing is known of."""
    rng = np.random.default_rng(seed + 1)
    away = rng.choice([0.0, 0.05, 0.1, 2.0], rows.n_rows, p=[0.6, 0.2, 0.1, 0.1])
    away[rng.random(rows.n_rows) < 0.05] = np.nan
    return away


@settings(deadline=None, max_examples=150)
@given(blocks(longest=200), calibration_settings(), seeds, st.booleans())
def test_scores_and_states_are_those_of_the_reference(
    rows: Blocks, shared: NDArray[Any], seed: int, stop: bool
) -> None:
    raw = raw_scores(rows, seed)
    table, rings = calibration_state(6, seed)
    places = np.random.default_rng(seed).permutation(6)[: rows.n_entities]
    of = (rows.values, rows.timestamps, rows.offsets)
    before = table.copy(), rings.copy()
    found, expected = (
        module.calibrate(
            raw, deviation_of(rows, seed), of, places, records(table, CALIBRATION), rings, shared, stop
        )
        for module in (compiled, reference)
    )
    np.testing.assert_array_equal(found[5], expected[5])
    done = np.concatenate([np.arange(a, b) for a, b in zip(rows.offsets, found[5], strict=False)])
    for one, other in zip(found[:2], expected[:2], strict=True):
        np.testing.assert_allclose(one[done], other[done], rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(found[2], expected[2])
    np.testing.assert_allclose(table_of(found[3]), table_of(expected[3]), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found[4], expected[4], rtol=1e-6)
    for one, other in zip((table, rings), before, strict=True):
        np.testing.assert_array_equal(one, other)


@settings(deadline=None)
@given(blocks(), calibration_settings(), seeds)
def test_scores_as_trained_are_those_of_the_reference(rows: Blocks, shared: NDArray[Any], seed: int) -> None:
    raw, entities = raw_scores(rows, seed), records(calibration_state(6, seed)[0], CALIBRATION)
    places = np.random.default_rng(seed).integers(0, 6, rows.n_entities)
    found, expected = (
        module.score_as_trained(raw, deviation_of(rows, seed), rows.offsets, places, entities, shared)
        for module in (compiled, reference)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@settings(deadline=None)
@given(blocks(), seeds)
def test_relative_scores_are_those_of_the_reference(rows: Blocks, seed: int) -> None:
    x = np.nan_to_num(raw_scores(rows, seed))
    training = np.random.default_rng(seed).uniform(0.1, 2.0, rows.n_entities)
    slow = [training.copy() for _ in range(2)]
    found, expected = (
        module.relative_scores(x, rows.offsets, own, training, 0.01)
        for module, own in zip((compiled, reference), slow, strict=True)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(*slow, rtol=1e-12)


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1), st.sampled_from([1e-100, 1.0, 1e6]))
def test_raw_scores_become_finite_as_in_the_reference(raw: list[float], unit: float) -> None:
    x = np.array(raw)
    found = compiled.unit_scores(x, unit)
    np.testing.assert_array_equal(found, reference.unit_scores(x, unit))


@settings(deadline=None)
@given(st.floats(-5, 10), st.floats(0.6, 50))
def test_scores_at_a_moved_line_are_those_of_the_reference(value: float, line: float) -> None:
    assert compiled.relative_to_line(value, line) == reference.relative_to_line(value, line)


@settings(deadline=None)
@given(st.data(), calibration_settings(), seeds)
def test_rows_in_two_calls_score_as_in_one(data: st.DataObject, shared: NDArray[Any], seed: int) -> None:
    n = data.draw(st.integers(2, 300))
    cut = data.draw(st.integers(1, n - 1))
    times = np.arange(n) * 300_000 + 1_772_366_400_000
    rows = Blocks(np.ones((n, 1)), np.array([0, n]), times)
    raw, away = raw_scores(rows, seed), deviation_of(rows, seed)

    def score(first: int, stop: int, entities: NDArray[Any], rings: NDArray[np.float32]) -> Any:
        part = slice(first, stop)
        of = (rows.values[part], times[part], np.array([0, stop - first]))
        return compiled.calibrate(raw[part], away[part], of, np.zeros(1, np.int64), entities, rings, shared, False)

    table, rings = calibration_state(1, seed)
    whole = score(0, n, records(table, CALIBRATION), rings)
    first = score(0, cut, records(table, CALIBRATION), rings)
    second = score(cut, n, *first[3:5])
    np.testing.assert_array_equal(np.concatenate([first[0], second[0]]), whole[0])
    np.testing.assert_array_equal(table_of(second[3]), table_of(whole[3]))
