"""Deviations from the usual band as the reference has them."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from tests.unit.models.kernels.inputs import Blocks, blocks, seeds

from foreshock_models.kernels.compiled import deviation as compiled
from foreshock_models.kernels.reference import deviation as reference


@settings(deadline=None)
@given(blocks(), seeds)
def test_deviations_are_those_of_the_reference(rows: Blocks, seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = np.sort(rng.normal(size=(5, 24, 3, rows.values.shape[1])), axis=2).astype(np.float32)
    table[rng.random(table.shape[:2]) < 0.1] = np.nan
    table[0, :, :, 0] = 0.0  # always the same value
    value_range = np.maximum(rng.normal(size=(5, rows.values.shape[1])), 0.0)
    places = rng.integers(0, 5, rows.n_entities)
    found, expected = (
        module.deviations(rows.values, rows.timestamps, rows.offsets, places, table, value_range)
        for module in (compiled, reference)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
