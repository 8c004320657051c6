from __future__ import annotations

import matplotlib
import numpy as np
import pytest

matplotlib.use("agg")

from foreshock import plot
from foreshock_models.calibration.state import State
from foreshock_models.detectors._base import Scores
from foreshock_models.errors import DataError
from foreshock_pipelines.datasets.demo import demo_fleet


def test_the_timeline_has_a_panel_for_each_feature_and_one_for_the_score() -> None:
    import matplotlib.pyplot as plt

    windows, incidents = demo_fleet(hosts=3, days=1)
    panel = windows.to_panel()
    score = np.zeros(panel.n_rows)
    score[panel.offsets[1] + 100 : panel.offsets[1] + 120] = 2.0
    scores = Scores(panel, score, score, np.zeros(panel.n_rows, bool), State())
    figure = plot.timeline(windows, scores, events=incidents, units={"cpu": "share"})
    assert len(figure.axes) == 7
    assert "host-02" in figure.get_suptitle()  # the one with the highest score
    assert all(axis.get_ylabel() for axis in figure.axes)
    plt.close(figure)


def test_an_unknown_entity_or_feature_is_named() -> None:
    windows, _ = demo_fleet(hosts=2, days=0.2)
    with pytest.raises(DataError, match="did you mean 'host-01'"):
        plot.timeline(windows, entity="host-1")
    with pytest.raises(DataError, match="did you mean 'cpu'"):
        plot.timeline(windows, features=["cpus"])
