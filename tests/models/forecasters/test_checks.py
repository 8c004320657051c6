"""The check suite over every registered forecaster."""

from __future__ import annotations

from typing import Any

import pytest
from tests.models.forecasters.checks import CHECKS

from foreshock_models.errors import ConfigError
from foreshock_models.forecasters import FORECASTERS, make


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.parametrize("name", FORECASTERS)
def test_forecaster(name: str, check: Any) -> None:
    check(lambda **params: make(name, **params))


def test_an_unknown_forecaster_is_named_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="no forecaster 'arma'; did you mean 'arima'"):
        make("arma")


def test_an_unknown_parameter_is_named_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="arima has no parameter 'season'; did you mean 'seasons'"):
        make("arima", season=("day",))
