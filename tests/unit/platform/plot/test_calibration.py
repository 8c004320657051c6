from __future__ import annotations

import pandas as pd
import pytest

from foreshock import plot
from foreshock_models.errors import DataError

TABLE = pd.DataFrame({"asked": [1.0, 7.0], "got": [0.0, 9.0], "lower": [0.0, 6.0], "upper": [1.1, 13.0]})


def test_both_axes_have_the_same_range_so_that_the_diagonal_is_the_budget() -> None:
    (axis,) = plot.calibration(TABLE).axes
    assert axis.get_xlim() == axis.get_ylim()
    assert axis.get_xlabel() == "false alerts asked for [per entity and week]"
    assert axis.get_ylabel() == "false alerts that came [per entity and week]"


def test_detectors_are_named_in_the_legend() -> None:
    (axis,) = plot.calibration({"iforest": TABLE, "lstm": TABLE}).axes
    assert [text.get_text() for text in axis.get_legend().texts][-2:] == ["iforest", "lstm"]


def test_an_empty_check_is_refused() -> None:
    with pytest.raises(DataError, match="check_budget"):
        plot.calibration(TABLE.head(0))
