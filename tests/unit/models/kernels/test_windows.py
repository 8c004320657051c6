"""Trailing windows: as the reference has them, and the same alone as among other rows."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.models.kernels.inputs import Blocks, blocks, choices

from foreshock_models.kernels.compiled import windows as compiled
from foreshock_models.kernels.reference import windows as reference

lengths = st.integers(1, 70)


@settings(deadline=None)
@given(st.data(), blocks(), lengths, lengths)
def test_statistics_are_those_of_the_reference(data: st.DataObject, rows: Blocks, short: int, long: int) -> None:
    needed, starts, _, _ = reference.trailing_rows(rows.offsets, data.draw(choices(rows)), 1)
    found = compiled.window_statistics(rows.values, starts, needed, short, long)
    expected = reference.window_statistics(rows.values, starts, needed, short, long)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@settings(deadline=None)
@given(st.data(), blocks(), lengths, lengths)
def test_a_row_has_the_same_statistics_alone_and_among_others(
    data: st.DataObject, rows: Blocks, short: int, long: int
) -> None:
    every, starts, _, _ = compiled.trailing_rows(rows.offsets, np.arange(rows.n_rows), 1)
    together = compiled.window_statistics(rows.values, starts, every, short, long)
    some, starts, _, _ = compiled.trailing_rows(rows.offsets, data.draw(choices(rows)), 1)
    alone = compiled.window_statistics(rows.values, starts, some, short, long)
    np.testing.assert_array_equal(alone, together[:, some])


@settings(deadline=None)
@given(st.data(), blocks(), st.integers(1, 40))
def test_trailing_rows_and_their_means_are_those_of_the_reference(
    data: st.DataObject, rows: Blocks, length: int
) -> None:
    chosen = data.draw(choices(rows))
    found = compiled.trailing_rows(rows.offsets, chosen, length)
    expected = reference.trailing_rows(rows.offsets, chosen, length)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    needed, _, places, counts = found
    values = np.nan_to_num(rows.values)[needed]
    means = compiled.trailing_mean(values, places, counts)
    np.testing.assert_allclose(means, reference.trailing_mean(values, places, counts), rtol=1e-12, atol=1e-12)


@settings(deadline=None)
@given(blocks(), st.integers(1, 40))
def test_gaps_are_filled_as_by_the_reference(rows: Blocks, limit: int) -> None:
    found = compiled.forward_fill(rows.values, rows.offsets, limit)
    np.testing.assert_array_equal(found, reference.forward_fill(rows.values, rows.offsets, limit))
