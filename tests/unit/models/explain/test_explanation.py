from __future__ import annotations

import numpy as np

from foreshock_models.detectors import IForest
from foreshock_models.explain.explanation import Explanation
from foreshock_pipelines.datasets.demo import demo_fleet


def test_an_explanation_knows_the_times_and_entities_of_its_rows() -> None:
    windows, _ = demo_fleet(hosts=2, days=0.2)
    model = IForest(n_trees=5).fit(windows)
    panel = windows.to_panel()
    rows = [panel.n_rows - 1, 7]
    frame = model.explain(windows, rows).to_pandas()
    assert frame["entity"].tolist() == ["host-02", "host-01"]
    assert frame["timestamp"].dt.as_unit("ms").astype("int64").tolist() == panel.timestamps[rows].tolist()
    assert list(frame.columns) == ["timestamp", "entity", *windows.features, "base", "raw"]


def test_shares_leave_out_what_lowered_the_score() -> None:
    found = Explanation(("a", "b"), np.array([[3.0, -1.0], [1.0, 1.0], [-1.0, 0.0]]), np.zeros(3), np.zeros(3))
    assert found.shares().tolist() == [[1.0, 0.0], [0.5, 0.5], [0.0, 0.0]]


def test_the_text_names_the_features_that_raised_the_score() -> None:
    found = Explanation(("cpu", "disk"), np.array([[1.0, 3.0]]), np.zeros(1), np.array([4.0]))
    assert repr(found) == "Explanation(1 row x 2 features; raised by disk 75%, cpu 25%)"
    assert "<table" in found._repr_html_()
