"""The check suite over every registered forecaster."""

from __future__ import annotations

from typing import Any

import pytest

from foreshock_models.checks import check_forecaster, forecaster_checks
from foreshock_models.checks.suite import applicable
from foreshock_models.errors import ConfigError
from foreshock_models.forecasters import FORECASTERS, SeasonalNaive, make


@pytest.mark.parametrize(
    "check", forecaster_checks().values(), ids=lambda check: check.__name__.removeprefix("check_")
)
@pytest.mark.parametrize("name", FORECASTERS)
def test_forecaster(name: str, check: Any, request: pytest.FixtureRequest) -> None:
    forecaster = make(name)
    reason = applicable(check, forecaster.skipped_checks())
    if reason is not None:
        request.applymarker(pytest.mark.xfail(strict=True, reason=reason))
    check(forecaster)


class Backwards(SeasonalNaive):
    """Forecasts the past."""

    def predict(self, horizon_rows: Any, levels: Any = (0.8,)) -> Any:
        forecast = super().predict(horizon_rows, levels)
        forecast.point[:] = forecast.point[:, ::-1] + 500
        return forecast


def test_a_forecaster_that_fails_is_named_with_the_check() -> None:
    with pytest.raises(AssertionError, match="check_forecasts_the_rows_after_the_last_one"):
        check_forecaster(Backwards())


def test_an_unknown_forecaster_is_named_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="no forecaster 'arma'; did you mean 'arima'"):
        make("arma")


def test_an_unknown_parameter_is_named_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="arima has no parameter 'season'; did you mean 'seasons'"):
        make("arima", season=("day",))
