"""What `import foreshock` gives: a name that goes or comes is a decision."""

from __future__ import annotations

import foreshock
from foreshock import plot


def test_the_names_that_notebooks_use() -> None:
    assert set(foreshock.__all__) == {
        "ARIMA", "Auto", "Budget", "Covariance", "Discord", "Ensemble", "ForeshockError", "IForest", "Job", "LSTM",
        "Light", "Prophet", "PyOD", "Registry", "SeasonalNaive", "Subspace", "VAE", "Windows", "backtest",
        "capacity", "check_budget", "demo_fleet", "fetch", "forecast", "load_job", "notifications", "plot",
        "time_to_exhaustion", "train", "tune",
    }  # fmt: skip


def test_every_name_is_there() -> None:
    for name in foreshock.__all__:
        assert getattr(foreshock, name) is not None


def test_the_figures() -> None:
    assert set(plot.__all__) == {
        "attributions", "backtest", "calibration", "capacity", "detectors", "expected", "forecast", "timeline",
    }  # fmt: skip
