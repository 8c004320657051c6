"""Foreshock: anomaly detection for Prometheus metrics, on Ray.

The names that notebooks and scripts use; each is imported when it is first touched, so that
``import foreshock`` costs nothing.

>>> import foreshock
>>> windows = foreshock.demo_fleet(hosts=3, days=2)[0]
>>> windows.features
('cpu', 'memory', 'disk_io', 'network', 'latency', 'errors')
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foreshock import notifications, plot
    from foreshock.notebook.budget_check import check_budget
    from foreshock.notebook.fetching import fetch
    from foreshock.notebook.forecasting import forecast
    from foreshock_models.calibration.budget import Budget
    from foreshock_models.detectors import LSTM, VAE, Covariance, Discord, Ensemble, IForest, Light, PyOD, Subspace
    from foreshock_models.errors import ForeshockError
    from foreshock_models.forecasters import ARIMA, Auto, Prophet, SeasonalNaive, time_to_exhaustion
    from foreshock_pipelines.datasets.demo import demo_fleet
    from foreshock_pipelines.datasets.windows import Windows
    from foreshock_pipelines.forecasting.capacity import capacity
    from foreshock_pipelines.jobfile import Job, load_job
    from foreshock_pipelines.jobs.backtest import backtest
    from foreshock_pipelines.jobs.train import train
    from foreshock_pipelines.jobs.tune import tune
    from foreshock_pipelines.registry import Registry

__all__ = [
    "ARIMA",
    "LSTM",
    "VAE",
    "Auto",
    "Budget",
    "Covariance",
    "Discord",
    "Ensemble",
    "ForeshockError",
    "IForest",
    "Job",
    "Light",
    "Prophet",
    "PyOD",
    "Registry",
    "SeasonalNaive",
    "Subspace",
    "Windows",
    "backtest",
    "capacity",
    "check_budget",
    "demo_fleet",
    "fetch",
    "forecast",
    "load_job",
    "notifications",
    "plot",
    "time_to_exhaustion",
    "train",
    "tune",
]

_HOME = {
    "ARIMA": "foreshock_models.forecasters",
    "Auto": "foreshock_models.forecasters",
    "Budget": "foreshock_models.calibration.budget",
    "Covariance": "foreshock_models.detectors",
    "Ensemble": "foreshock_models.detectors",
    "ForeshockError": "foreshock_models.errors",
    "IForest": "foreshock_models.detectors",
    "Job": "foreshock_pipelines.jobfile",
    "LSTM": "foreshock_models.detectors",
    "Light": "foreshock_models.detectors",
    "Prophet": "foreshock_models.forecasters",
    "PyOD": "foreshock_models.detectors",
    "Registry": "foreshock_pipelines.registry",
    "SeasonalNaive": "foreshock_models.forecasters",
    "Subspace": "foreshock_models.detectors",
    "Discord": "foreshock_models.detectors",
    "VAE": "foreshock_models.detectors",
    "Windows": "foreshock_pipelines.datasets.windows",
    "backtest": "foreshock_pipelines.jobs.backtest",
    "capacity": "foreshock_pipelines.forecasting.capacity",
    "check_budget": "foreshock.notebook.budget_check",
    "demo_fleet": "foreshock_pipelines.datasets.demo",
    "fetch": "foreshock.notebook.fetching",
    "forecast": "foreshock.notebook.forecasting",
    "load_job": "foreshock_pipelines.jobfile",
    "time_to_exhaustion": "foreshock_models.forecasters",
    "train": "foreshock_pipelines.jobs.train",
    "tune": "foreshock_pipelines.jobs.tune",
}


def __getattr__(name: str) -> Any:
    if name in ("notifications", "plot"):
        return import_module(f"foreshock.{name}")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'foreshock' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
