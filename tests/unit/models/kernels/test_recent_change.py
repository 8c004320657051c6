from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.models.kernels.inputs import Blocks, blocks, choices, seeds

from foreshock_models.kernels.compiled.recent_change import recent_change
from foreshock_models.kernels.reference import recent_change as reference


@settings(deadline=None)
@given(st.data(), blocks(), st.integers(1, 60))
def test_recent_change_is_that_of_the_reference(data: st.DataObject, rows: Blocks, before: int) -> None:
    chosen = data.draw(choices(rows))
    starts = rows.offsets[np.searchsorted(rows.offsets, chosen, side="right") - 1]
    value_range = np.random.default_rng(data.draw(seeds)).choice([0.0, 0.5, 100.0], size=(len(chosen), 3))
    found = recent_change(rows.values, chosen, starts, value_range, before)
    expected = reference.recent_change(rows.values, chosen, starts, value_range, before)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
