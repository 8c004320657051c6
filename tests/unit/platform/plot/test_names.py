"""Names of entities and features come from outside: they are shown as they are."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib import rcParams
from matplotlib.figure import Figure
from matplotlib.text import Text

from foreshock import demo_fleet, plot
from foreshock_models.detectors import Scores
from foreshock_models.state import State
from foreshock_pipelines.datasets.windows import Windows

FORMULA = r"web $\frac{$"


def shown(figure: Figure) -> set[str]:
    figure.canvas.draw()  # a name that is read as a formula ends here
    return {text.get_text() for text in figure.findobj(Text) if "$" in text.get_text()}


def test_a_name_with_dollar_signs_is_no_formula() -> None:
    frame = demo_fleet(hosts=1, days=1, incidents=0)[0].to_pandas().reset_index()
    frame["instance"] = FORMULA
    windows = Windows.from_pandas(frame, entity=["instance"], step=60.0)
    panel = windows.to_panel()
    score = np.full(panel.n_rows, 0.3)
    scores = Scores(panel, score, score, np.zeros(panel.n_rows, bool), State(), {"iforest": score})
    for figure in (plot.timeline(windows, scores), plot.detectors(scores)):
        assert any(FORMULA in text for text in shown(figure))


def test_figures_leave_the_settings_of_matplotlib_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    windows = demo_fleet(hosts=1, days=1, incidents=0)[0]
    panel = windows.to_panel()
    scores = Scores(panel, (score := np.full(panel.n_rows, 0.3)), score, np.zeros(panel.n_rows, bool), State(), {})
    subplots = plt.subplots

    def as_in_a_notebook(*args: Any, **options: Any) -> Any:
        plt.ion()  # so does the backend of notebooks, when the first figure loads it
        return subplots(*args, **options)

    monkeypatch.setattr(plt, "subplots", as_in_a_notebook)
    before = {**rcParams}
    plot.timeline(windows, scores)
    try:
        assert plt.isinteractive()
        assert {**rcParams, "interactive": before["interactive"]} == before
    finally:
        plt.ioff()
