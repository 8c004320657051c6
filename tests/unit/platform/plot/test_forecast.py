from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from foreshock import plot
from foreshock_models.errors import DataError
from foreshock_models.forecasters import SeasonalNaive


def test_history_interval_and_forecast_are_drawn_and_named(windows) -> None:
    past = windows.keep(["cpu"]).select(["host-01"])
    made = SeasonalNaive(horizon=timedelta(hours=2)).fit(past).predict(timedelta(hours=2))
    figure = plot.forecast(past, made, unit="share", limit=0.9, history=timedelta(hours=6))
    (axis,) = figure.axes
    assert axis.get_ylabel() == "cpu [share]"
    names = {text.get_text() for text in figure.legends[0].texts}
    assert {"history", "80% interval", "limit"} <= names
    assert any(name.startswith("forecast (") for name in names)
    with pytest.raises(DataError, match="did you mean 'cpu'"):
        plot.forecast(past, made, feature="cpus")


def capacity_table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "entity": ["a", "b"], "feature": "disk", "limit": 0.95, "hours": [7.0, np.inf],
            "lower_hours": [5.0, 20.0], "upper_hours": [12.0, np.inf], "probability": [0.9, 0.1],
            "within_hours": 24.0, "alert": [True, False],
        }
    )  # fmt: skip


def test_what_runs_out_first_stands_at_the_top_with_its_probability() -> None:
    (axis,) = plot.capacity(capacity_table()).axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["disk of a", "disk of b"]
    assert axis.get_ylim()[0] > axis.get_ylim()[1]
    assert {"90%", "10%"} <= {text.get_text() for text in axis.texts}
    assert "hours until" in axis.get_xlabel()


def test_without_a_limit_in_the_job_file_capacity_says_how_to_give_one() -> None:
    with pytest.raises(DataError, match="exhaustion:"):
        plot.capacity(capacity_table().head(0))
