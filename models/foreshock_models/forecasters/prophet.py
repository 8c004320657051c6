"""Prophet: a piecewise trend with seasons, holidays and known events."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from foreshock_models.errors import ConfigError, DataError, allowed
from foreshock_models.forecasters._forecaster import Forecaster
from foreshock_models.forecasters._grid import Limits, Series
from foreshock_models.forecasters._validation import Key, SeriesFit

__all__ = ["Event", "Prophet"]

FOURIER = {"hour": 3, "day": 8, "week": 5}
"""Harmonics of each season; Prophet's own default for a day is 4, which rounds off the start of work."""
ROWS_PER_CHANGE = 8
"""Rows for each place where the trend may bend; with fewer, Stan's optimiser takes half a minute for 30 rows."""
MAX_FITS = 4
"""Origins of the validation that are fitted: Prophet cannot take new rows without a new fit."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something known in advance that moves metrics: a sale, a batch run, a release.

    Events of one `name` share one effect, learnt from those that lie in the history.
    """

    name: str
    start: datetime
    end: datetime


class Prophet(Forecaster):
    """Prophet on the grid, with the seasons that were found and conformal intervals in place of its own.

    Where a feature has both limits, growth is logistic between them, else linear.

    Parameters
    ----------
    holidays
        Country whose public holidays count, as in ``"DE"``.
    events
        Known events of the past and the future; those of one name share one effect.

    Source: Taylor and Letham, Forecasting at scale, 2018.

    Examples
    --------
    >>> import numpy as np
    >>> day = 10 + np.sin(np.arange(14 * 24) / 24 * 2 * np.pi)
    >>> from foreshock_models.panel import Panel
    >>> forecast = Prophet().fit(Panel.of(day, step=3600)).predict(24)
    >>> bool(np.allclose(forecast.point[0, :, 0], day[:24], atol=0.1))
    True
    """

    name = "prophet"

    def __init__(
        self,
        *,
        holidays: str | None = None,
        events: Sequence[Event] = (),
        horizon: timedelta | None = None,
        seasons: Sequence[str] | None = None,
        limits: Limits | Mapping[str, Limits] | None = None,
        grid: float | None = None,
        random_state: int = 0,
    ) -> None:
        super().__init__(horizon=horizon, seasons=seasons, limits=limits, grid=grid, random_state=random_state)
        self.holidays = holidays
        self.events = events

    def _fit_series(self, key: Key, series: Series, origins: NDArray[np.int64], horizon: int) -> SeriesFit:
        backtest = np.full((len(origins), horizon), np.nan)
        # whole horizons first: an origin near the end tells little for the time that a fit takes
        whole = max(1, int(np.sum(origins + horizon <= series.n_rows)))
        for i in np.unique(np.linspace(0, whole - 1, MAX_FITS).astype(int)):
            backtest[i] = self._ahead(series, int(origins[i]), horizon)
        return SeriesFit("prophet", backtest, lambda h: self._ahead(series, series.n_rows, h))

    def _ahead(self, series: Series, origin: int, horizon: int) -> NDArray[np.float64]:
        """Fit on the rows before `origin`, and forecast `horizon` rows from it."""
        history = series.values[:origin]
        spread = float(np.nanstd(history))
        if spread < 1e-9 * max(1.0, abs(float(np.nanmean(history)))):
            return np.full(horizon, float(np.nanmean(history)))  # Stan divides by the spread
        frame = self._frame(series, 0, origin).assign(y=history).dropna(subset=["y"])
        with _quiet():
            model = self._model(series, len(frame))
            model.fit(frame, seed=self.random_state)
            predicted: NDArray[np.float64] = model.predict(self._frame(series, origin, origin + horizon))["yhat"]
        return np.asarray(predicted, dtype=np.float64)

    def _model(self, series: Series, n_rows: int) -> Any:
        import prophet

        model = prophet.Prophet(
            growth="logistic" if np.isfinite(series.limits).all() else "linear",
            n_changepoints=min(25, n_rows // ROWS_PER_CHANGE),
            yearly_seasonality=False,
            weekly_seasonality=False,
            daily_seasonality=False,
            uncertainty_samples=0,  # intervals are conformal; sampling them takes longer than the fit
        )
        for name, order in FOURIER.items():
            period = {"hour": 3600.0, "day": 86400.0, "week": 604800.0}[name]
            if round(period / series.grid) in series.seasons:
                order = min(order, int(period / series.grid) // 2 - 1)
                model.add_seasonality(name=name, period=period / 86400, fourier_order=max(1, order))
        if self.holidays:
            import holidays

            known = holidays.list_supported_countries()
            if self.holidays not in known:
                raise ConfigError(f"no holidays of {self.holidays!r}; {allowed(self.holidays, known)}")
            model.add_country_holidays(country_name=self.holidays)
        for name in self._event_names():
            model.add_regressor(name, standardize=False)
        return model

    def _event_names(self) -> list[str]:
        return sorted({f"event {event.name}" for event in self.events})

    def _frame(self, series: Series, start: int, stop: int) -> pd.DataFrame:
        """Prophet's columns for some rows: time, limits, and which events hold."""
        times = series.times(start, stop)
        frame = pd.DataFrame({"ds": pd.to_datetime(times, unit="ms")})
        if np.isfinite(series.limits).all():
            frame["floor"], frame["cap"] = series.limits
        for name in self._event_names():
            frame[name] = 0.0
        for event in self.events:
            if event.end <= event.start:
                raise DataError(f"event {event.name!r} must end after it starts; it ends at {event.end}")
            begin, end = event.start.timestamp() * 1000, event.end.timestamp() * 1000
            frame.loc[(times >= begin) & (times < end), f"event {event.name}"] = 1.0
        return frame


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the compiler's and the sampler's progress out of the log of the caller."""
    from cmdstanpy import disable_logging

    loggers = [logging.getLogger(name) for name in ("prophet", "prophet.plot", "prophet.forecaster")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with disable_logging():
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
