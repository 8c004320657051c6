from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from foreshock import plot
from foreshock_models.errors import DataError
from foreshock_models.explain.explanation import Explanation


def test_the_areas_stand_above_the_score_of_the_same_entity(explanation, scores, incidents) -> None:
    figure = plot.attributions(explanation, scores)
    assert incidents[0].entity in figure.get_suptitle()  # whose score was raised most
    assert [axis.get_ylabel() for axis in figure.axes] == ["attribution\n[raw score]", "score"]
    names = [text.get_text() for text in figure.legends[0].texts]
    assert names[0] == "cpu"
    assert "alert line" in names


def test_beyond_six_features_the_rest_is_one_area() -> None:
    names = tuple(f"f{i}" for i in range(9))
    attributions = np.tile(np.arange(9, 0, -1.0), (20, 1))
    times = np.arange(20, dtype=np.int64) * 60_000
    found = Explanation(names, attributions, np.zeros(20), attributions.sum(1), times, ("a",) * 20)
    labels = [text.get_text() for text in plot.attributions(found).legends[0].texts]
    assert labels == [*names[:6], "3 others"]


def test_an_explanation_without_times_cannot_be_drawn(explanation) -> None:
    with pytest.raises(DataError, match="does not know the times"):
        plot.attributions(replace(explanation, timestamps=None))
