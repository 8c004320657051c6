"""A small fleet whose scores are made up: high during its incidents."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib
import numpy as np
import pytest

matplotlib.use("agg")

from foreshock_models.detectors import Expectation, Scores
from foreshock_models.explain.explanation import Explanation
from foreshock_models.panel import Panel
from foreshock_models.state import State
from foreshock_pipelines.datasets.demo import Incident, demo_fleet
from foreshock_pipelines.datasets.windows import Windows


@pytest.fixture(scope="session")
def small() -> tuple[Windows, list[Incident]]:
    return demo_fleet(hosts=3, days=1, incidents=2)


@pytest.fixture
def windows(small: tuple[Windows, list[Incident]]) -> Windows:
    return small[0]


@pytest.fixture
def incidents(small: tuple[Windows, list[Incident]]) -> list[Incident]:
    return small[1]


@pytest.fixture
def panel(windows: Windows) -> Panel:
    return windows.to_panel()


@pytest.fixture
def scores(panel: Panel, incidents: list[Incident]) -> Scores:
    """2.0 during the first incident, 1.5 during the others, else 0.3."""
    score = np.full(panel.n_rows, 0.3)
    for number, incident in enumerate(incidents):
        rows = dict(panel)[incident.entity]
        times = panel.timestamps[rows]
        inside = (times >= incident.start.timestamp() * 1000) & (times < incident.end.timestamp() * 1000)
        score[rows][inside] = 1.5 if number else 2.0
    return Scores(panel, score, score / 10, np.zeros(panel.n_rows, bool), State(), {"iforest": score * 0.9})


@pytest.fixture
def explanation(panel: Panel, scores: Scores) -> Explanation:
    """The first feature drives half of each score, the others share the rest."""
    share = np.r_[0.5, np.full(panel.n_features - 1, 0.5 / (panel.n_features - 1))]
    names = tuple(panel.entities[code] for code in panel.codes)
    raw = scores.raw
    return Explanation(panel.features, raw[:, None] * share, np.zeros(panel.n_rows), raw, panel.timestamps, names)


@pytest.fixture
def expectation(panel: Panel) -> Expectation:
    middle = np.nan_to_num(panel.values)
    return Expectation(middle, middle * 0.9, middle * 1.1)


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    """Drawn in full, so that a warning of the layout is an error; then closed."""
    import matplotlib.pyplot as plt

    yield
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()
    plt.close("all")
