"""Forecasters: one algorithm a file, by name."""

from __future__ import annotations

import inspect
from typing import Any

from foreshock_models.errors import ConfigError, allowed
from foreshock_models.forecasters._forecast import Forecast
from foreshock_models.forecasters._forecaster import Forecaster
from foreshock_models.forecasters.arima import ARIMA
from foreshock_models.forecasters.auto import Auto
from foreshock_models.forecasters.exhaustion import TimeToExhaustion, time_to_exhaustion
from foreshock_models.forecasters.prophet import Event, Prophet
from foreshock_models.forecasters.seasonal_naive import SeasonalNaive

__all__ = [
    "ARIMA",
    "FORECASTERS",
    "Auto",
    "Event",
    "Forecast",
    "Forecaster",
    "Prophet",
    "SeasonalNaive",
    "TimeToExhaustion",
    "find",
    "make",
    "time_to_exhaustion",
]

FORECASTERS: dict[str, type[Forecaster]] = {
    "seasonal_naive": SeasonalNaive,
    "arima": ARIMA,
    "prophet": Prophet,
    "auto": Auto,
}


def find(name: str) -> type[Forecaster]:
    """The class of a forecaster.

    Raises
    ------
    ConfigError
        No forecaster of that name; says the nearest one.
    """
    if name not in FORECASTERS:
        raise ConfigError(f"no forecaster {name!r}; {allowed(name, FORECASTERS)}")
    return FORECASTERS[name]


def make(name: str, **params: Any) -> Forecaster:
    """A forecaster by its name: ``seasonal_naive``, ``arima``, ``prophet``, ``auto``.

    >>> make("arima", random_state=1).random_state
    1
    """
    known = list(inspect.signature(find(name)).parameters)
    for param in params:
        if param not in known:
            raise ConfigError(f"{name} has no parameter {param!r}; {allowed(param, known)}")
    return find(name)(**params)
