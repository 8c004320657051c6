"""What is known in advance: holidays and events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from foreshock_models.checks.rows import HOUR_MS, START_MS, daily_load, hourly_panel
from foreshock_models.errors import ConfigError
from foreshock_models.forecasters import Auto, Event, Prophet

FIRST = datetime.fromtimestamp(START_MS / 1000, UTC)


def days(*numbers: int) -> list[Event]:
    """An event from 10:00 to 16:00 of some days, counted from the first row."""
    return [
        Event("sale", FIRST + timedelta(days=day, hours=10), FIRST + timedelta(days=day, hours=16))
        for day in numbers
    ]


def with_sales(n_days: int, *numbers: int) -> np.ndarray:
    rows = daily_load(n_days * 24, noise=0.3)
    for day in numbers:
        rows[day * 24 + 10 : day * 24 + 16] += 60
    return rows


def test_prophet_learns_an_event_and_expects_it_when_it_comes() -> None:
    rows = with_sales(15, 3, 7, 11, 14)
    forecast = Prophet(events=days(3, 7, 11, 14)).fit(hourly_panel(rows[: 14 * 24])).predict(24)
    quiet = Prophet().fit(hourly_panel(rows[: 14 * 24])).predict(24)
    sale = slice(10, 16)
    assert np.abs(forecast.point[0, sale, 0] - rows[14 * 24 :][sale]).mean() < 15
    assert np.abs(quiet.point[0, sale, 0] - rows[14 * 24 :][sale]).mean() > 40


def test_auto_takes_prophet_into_account_only_where_it_knows_more() -> None:
    rows = hourly_panel(daily_load())
    assert "prophet" not in Auto().fit(rows).members_
    assert "prophet" in Auto(events=days(20)).fit(rows).members_


def test_prophet_expects_a_public_holiday() -> None:
    start = round(datetime(2025, 12, 1, tzinfo=UTC).timestamp() * 1000)
    rows = daily_load(30 * 24, noise=0.3)
    for day in (24, 25):  # Christmas Day and the day after, in Germany
        rows[day * 24 : day * 24 + 24] *= 0.5
    history = hourly_panel(rows, start=start)
    forecast = Prophet(holidays="DE").fit(history).predict(48)
    first = forecast.timestamps[0, 0]
    assert first == start + 30 * 24 * HOUR_MS
    new_year = slice(24, 48)  # not like Christmas: each holiday has an effect of its own, this one none yet
    assert np.isfinite(forecast.point[0, new_year, 0]).all()
    fitted = Prophet(holidays="DE")._model(next(iter(Prophet().fit(history).series_.values())), 700)
    assert fitted.country_holidays == "DE"


def test_an_unknown_country_is_refused() -> None:
    with pytest.raises(ConfigError, match="no holidays of 'DX'"):
        Prophet(holidays="DX").fit(hourly_panel(daily_load()))
