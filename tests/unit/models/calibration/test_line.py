"""What a moved line does to scores."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from foreshock_models.kernels.compiled.calibration import relative_to_line
from foreshock_models.kernels.constants import HIGHEST_LINE, LOWEST_LINE

LINES = st.floats(LOWEST_LINE, HIGHEST_LINE) | st.floats(
    HIGHEST_LINE, 50.0
)  # where the controller moves it, or a recurrence
VALUES = st.floats(-5.0, 10.0)


@settings(deadline=None)  # compiling takes seconds
@given(VALUES, LINES)
def test_what_reaches_the_line_scores_at_least_one_and_nothing_else_does(value: float, line: float) -> None:
    assert (relative_to_line(value, line) >= 1.0) == (value >= line)


@settings(deadline=None)  # compiling takes seconds
@given(st.lists(VALUES, min_size=2), LINES)
def test_a_moved_line_keeps_the_order_of_scores(values: list[float], line: float) -> None:
    assert (np.diff([relative_to_line(value, line) for value in sorted(values)]) >= 0).all()


@settings(deadline=None)  # compiling takes seconds
@given(VALUES, st.floats(LOWEST_LINE, HIGHEST_LINE))
def test_scores_that_training_puts_on_the_same_side_of_one_stay_as_they_are(value: float, line: float) -> None:
    if value <= 0.2 or value >= 1.9:
        assert relative_to_line(value, line) == value
