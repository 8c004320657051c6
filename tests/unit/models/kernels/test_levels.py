"""Levels at several time scales: as the reference has them, and the same alone as among other rows."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.models.kernels.inputs import Blocks, blocks, choices

from foreshock_models.kernels.compiled import levels as compiled
from foreshock_models.kernels.compiled.windows import trailing_rows
from foreshock_models.kernels.reference import levels as reference


@settings(deadline=None)
@given(st.data(), blocks(), st.integers(1, 5), st.integers(1, 40))
def test_levels_are_those_of_the_reference(data: st.DataObject, rows: Blocks, scales: int, memory: int) -> None:
    x = np.nan_to_num(rows.values)
    needed, starts, _, _ = trailing_rows(rows.offsets, data.draw(choices(rows)), 1)
    found = compiled.trailing_levels(x, starts, needed, scales, memory)
    np.testing.assert_allclose(
        found, reference.trailing_levels(x, starts, needed, scales, memory), rtol=1e-9, atol=1e-9
    )


@settings(deadline=None)
@given(st.data(), blocks(), st.integers(1, 5), st.integers(1, 40))
def test_a_row_has_the_same_levels_alone_and_among_others(
    data: st.DataObject, rows: Blocks, scales: int, memory: int
) -> None:
    x = np.nan_to_num(rows.values)
    every, starts, _, _ = trailing_rows(rows.offsets, np.arange(rows.n_rows), 1)
    together = compiled.trailing_levels(x, starts, every, scales, memory)
    some, starts, _, _ = trailing_rows(rows.offsets, data.draw(choices(rows)), 1)
    alone = compiled.trailing_levels(x, starts, some, scales, memory)
    np.testing.assert_allclose(alone, together[some], rtol=1e-9, atol=1e-9)
