from __future__ import annotations

import pytest

from foreshock import plot
from foreshock_models.errors import DataError


def test_an_ensemble_stands_above_its_members(scores, incidents) -> None:
    figure = plot.detectors(scores, events=incidents)
    assert [axis.get_ylabel() for axis in figure.axes] == ["ensemble", "iforest"]
    assert "known incident" in {text.get_text() for text in figure.legends[0].texts}


def test_each_detector_has_its_own_shading_and_the_same_line(scores) -> None:
    from dataclasses import replace

    figure = plot.detectors({"high": scores, "calm": replace(scores, score=scores.score * 0.1)})
    assert [len(axis.patches) for axis in figure.axes] == [1, 0]
    for axis in figure.axes:
        assert [line.get_ydata()[0] for line in axis.lines if line.get_label() == "alert line"] == [1.0]


def test_nothing_to_compare_is_said() -> None:
    with pytest.raises(DataError, match="no scores to compare"):
        plot.detectors({})
