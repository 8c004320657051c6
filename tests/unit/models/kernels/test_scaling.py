from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from tests.unit.models.kernels.inputs import Blocks, blocks, seeds

from foreshock_models.kernels.compiled.scaling import scale
from foreshock_models.kernels.reference import scaling as reference


@settings(deadline=None)
@given(blocks(), seeds)
def test_scaled_values_are_those_of_the_reference(rows: Blocks, seed: int) -> None:
    rng = np.random.default_rng(seed)
    entities = rng.integers(0, 6, rows.n_entities)
    center, spread = rng.normal(size=(6, 3)), rng.uniform(0.01, 2.0, (6, 3))
    found = scale(rows.values, rows.offsets, entities, center, spread)
    np.testing.assert_array_equal(found, reference.scale(rows.values, rows.offsets, entities, center, spread))
