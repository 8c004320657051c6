from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.models.kernels.inputs import Blocks, blocks, choices

from foreshock_models.kernels.compiled import rows as compiled
from foreshock_models.kernels.reference import rows as reference


@settings(deadline=None)
@given(st.data(), blocks())
def test_picked_rows_are_those_of_the_reference(data: st.DataObject, rows: Blocks) -> None:
    chosen = data.draw(choices(rows))
    found = compiled.pick_rows(rows.values, rows.timestamps, rows.offsets, chosen)
    expected = reference.pick_rows(rows.values, rows.timestamps, rows.offsets, chosen)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@settings(deadline=None)
@given(st.data(), blocks())
def test_rows_since_a_time_are_those_of_the_reference(data: st.DataObject, rows: Blocks) -> None:
    times = st.sampled_from([*rows.timestamps.tolist(), 0, 10**15])
    since = np.array(data.draw(st.lists(times, min_size=rows.n_entities, max_size=rows.n_entities)), np.int64)
    found = compiled.rows_since(rows.timestamps, rows.offsets, since)
    np.testing.assert_array_equal(found, reference.rows_since(rows.timestamps, rows.offsets, since))
