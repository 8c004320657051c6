from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from foreshock_models.kernels.compiled import recurrence as compiled
from foreshock_models.kernels.layout import RING_WIDTH
from foreshock_models.kernels.reference import recurrence as reference

hours = st.lists(st.tuples(st.integers(0, 30), st.sampled_from([0.0, 1.5, 1e9])), max_size=60)


@settings(deadline=None)
@given(hours, st.integers(1, 7), st.integers(0, 60))
def test_rings_are_those_of_the_reference(steps: list[tuple[int, float]], days: int, later: int) -> None:
    found, expected = (np.zeros(RING_WIDTH, np.float32) for _ in range(2))
    hour = 491_000
    for step, score in steps:
        hour += step
        for module, ring in ((compiled, found), (reference, expected)):
            module.record_hour(ring, hour, score)
    np.testing.assert_array_equal(found, expected)
    peaks = [module.expected_peak(found, hour + later, days) for module in (compiled, reference)]
    assert peaks[0] == peaks[1]
