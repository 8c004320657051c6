"""What a moved line does to scores."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from foreshock_models.calibration._stream import HIGHEST, LOWEST, _shown

LINES = st.floats(LOWEST, HIGHEST) | st.floats(HIGHEST, 50.0)  # where the controller moves it, or a routine
VALUES = st.floats(-5.0, 10.0)


@settings(deadline=None)  # compiling takes seconds
@given(VALUES, LINES)
def test_what_reaches_the_line_scores_at_least_one_and_nothing_else_does(value: float, line: float) -> None:
    assert (_shown(value, line) >= 1.0) == (value >= line)


@settings(deadline=None)  # compiling takes seconds
@given(st.lists(VALUES, min_size=2), LINES)
def test_a_moved_line_keeps_the_order_of_scores(values: list[float], line: float) -> None:
    assert (np.diff([_shown(value, line) for value in sorted(values)]) >= 0).all()


@settings(deadline=None)  # compiling takes seconds
@given(VALUES, st.floats(LOWEST, HIGHEST))
def test_scores_that_training_puts_on_the_same_side_of_one_stay_as_they_are(value: float, line: float) -> None:
    if value <= 0.2 or value >= 1.9:
        assert _shown(value, line) == value
