from __future__ import annotations

import subprocess
import sys

import matplotlib
import numpy as np
import pytest

from foreshock_models.detectors import IForest
from foreshock_models.explain.explanation import Explanation
from foreshock_models.explain.figure import explanation_figure

matplotlib.use("agg")


def test_the_explanation_of_the_highest_score_is_a_figure_with_the_cause_on_top() -> None:
    import matplotlib.pyplot as plt
    import pandas as pd

    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(500, 3)), columns=["cpu", "memory", "disk"])
    model = IForest(n_trees=10).fit(frame)
    frame.loc[400:420, "memory"] += 9
    figure = model.plot_explanation(frame)
    (axis,) = figure.axes
    names = [label.get_text().split("\n")[0] for label in axis.get_yticklabels()]
    assert names[0] == "memory"
    assert sorted(names) == ["cpu", "disk", "memory"]
    widths = sum(bar.get_width() for bar in axis.patches)
    row = int(np.argmax(model.decision_function(frame)))
    assert 400 <= row <= 426
    assert widths == pytest.approx(float(model.explain(frame, [row]).attributions.sum()))
    last = model.plot_explanation(frame, -1)
    assert last.get_suptitle() != figure.get_suptitle()
    plt.close("all")


def test_of_many_features_the_small_ones_share_a_bar() -> None:
    import matplotlib.pyplot as plt

    values = np.arange(20.0)[None] - 3
    names = tuple(f"f{i}" for i in range(20))
    found = Explanation(names, values, np.zeros(1), values.sum(axis=1))
    figure = explanation_figure(found, np.full(20, np.nan), np.zeros(20), shown=5)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == [*(f"f{i}\n–, usual 0" for i in (19, 18, 17, 16)), "16 other features"]
    assert sum(bar.get_width() for bar in figure.axes[0].patches) == pytest.approx(values.sum())
    plt.close(figure)


def test_detectors_do_not_import_matplotlib() -> None:
    code = "import sys, foreshock_models.detectors; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
