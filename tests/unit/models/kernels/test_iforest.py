"""Isolation forests: trees and raw scores as the reference has them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.models.kernels.inputs import Blocks, blocks, choices, seeds

from foreshock_models.detectors._trees import Forest, grow
from foreshock_models.kernels.compiled import iforest as compiled
from foreshock_models.kernels.compiled import trees as compiled_trees
from foreshock_models.kernels.reference import iforest as reference
from foreshock_models.kernels.reference import trees as reference_trees


@cache
def forest(n_features: int = 3) -> Forest:
    """One forest per feature, of different depths; the last one saw a single value."""
    samples = np.random.default_rng(0).normal(size=(n_features, 400, 4)).astype(np.float32)
    samples[-1] = 1.0
    return grow(samples, 7, 64, 0)


@settings(deadline=None)
@given(st.integers(1, 300), seeds)
def test_isolation_scores_are_those_of_the_reference(n_rows: int, seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(3, n_rows, 4)).astype(np.float32)
    found = compiled_trees.isolation_scores(x, *forest().complete)
    np.testing.assert_allclose(found, reference_trees.isolation_scores(x, *forest().complete), rtol=1e-12)


@settings(deadline=None)
@given(st.data(), blocks(longest=30), st.integers(1, 6), st.integers(1, 40), st.integers(1, 10))
def test_contributions_are_those_of_the_reference(
    data: st.DataObject, rows: Blocks, short: int, long: int, smoothing: int
) -> None:
    rng = np.random.default_rng(data.draw(seeds))
    arguments = (
        rows.values, rows.offsets, rng.integers(0, 3, rows.n_entities), rng.normal(size=(3, 3)),
        rng.uniform(0.1, 2.0, (3, 3)), data.draw(choices(rows)), short, long, smoothing, forest().complete,
        rng.uniform(0.4, 0.6, 3), rng.uniform(0.1, 2.0, (3, 4)), rng.uniform(0.0, 1.0, 3),
    )  # fmt: skip
    found, expected = compiled.contributions(*arguments), reference.contributions(*arguments)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)  # statistics are float32


@pytest.mark.parametrize("n_rows", [1, compiled_trees.BLOCK, 2 * compiled_trees.BLOCK + 1])
def test_the_score_of_a_row_does_not_depend_on_its_block(n_rows: int) -> None:
    x = np.random.default_rng(0).normal(size=(3, n_rows, 4)).astype(np.float32)
    together = compiled_trees.isolation_scores(x, *forest().complete)
    last = np.ascontiguousarray(x[:, -1:])
    np.testing.assert_array_equal(compiled_trees.isolation_scores(last, *forest().complete), together[-1:])
