from __future__ import annotations

import numpy as np
import pytest

from foreshock import plot
from foreshock_models.detectors import Expectation
from foreshock_models.errors import DataError


def test_only_values_outside_the_band_are_red(windows, panel, scores) -> None:
    middle = np.nan_to_num(panel.values)
    low, high = middle - 1, middle + 1
    high[5] = low[5] = middle[5] + 2  # the sixth row of the first host is below its band
    figure = plot.expected(windows, Expectation(middle, low, high), scores, entity="host-01", features=["cpu"])
    (axis,) = figure.axes
    (red,) = [line for line in axis.lines if line.get_label() == "outside the band"]
    assert np.flatnonzero(np.isfinite(np.asarray(red.get_ydata(), float))).tolist() == [5]
    assert axis.get_ylabel() == "cpu"
    assert axis.get_xlabel() == "time (UTC)"


def test_an_expectation_of_other_rows_is_refused(windows, expectation, incidents) -> None:
    with pytest.raises(DataError, match="with the same windows"):
        plot.expected(windows.between(end=incidents[0].start), expectation)
