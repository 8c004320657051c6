"""Auto: for each series, whatever was right most often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock_models.errors import ConfigError, allowed
from foreshock_models.forecasters._forecaster import Forecaster
from foreshock_models.forecasters._grid import Limits, Series
from foreshock_models.forecasters._intervals import buckets
from foreshock_models.forecasters._validation import Key, SeriesFit, observed_after
from foreshock_models.forecasters.arima import ARIMA
from foreshock_models.forecasters.prophet import Event, Prophet
from foreshock_models.forecasters.seasonal_naive import SeasonalNaive

__all__ = ["Auto"]

CANDIDATES: dict[str, type[Forecaster]] = {"seasonal_naive": SeasonalNaive, "arima": ARIMA, "prophet": Prophet}
NAIVE = "seasonal_naive"
WORTH = 0.02
"""By so much of its error must the default be beaten before something else is used."""
DOUBT = 1.0
"""And by so many standard errors of the gain, which spikes make large; twice as many where there is no season."""


class Auto(Forecaster):
    """The candidate, or the mean of candidates, with the smallest error on the origins of the validation.

    Without clear evidence a series with a season is forecast by the mean of all candidates, which is seldom far
    from the best of them (Bates and Granger, The combination of forecasts, 1969); one without a season by its last
    value, so that this is hardly ever worse than the baseline.

    Parameters
    ----------
    candidates
        Names of what to choose from. Default: seasonal naive and ARIMA; Prophet too where there are `holidays`
        or `events`, which only it knows of.
    """

    name = "auto"

    def __init__(
        self,
        *,
        candidates: Sequence[str] | None = None,
        holidays: str | None = None,
        events: Sequence[Event] = (),
        horizon: timedelta | None = None,
        seasons: Sequence[str] | None = None,
        limits: Limits | Mapping[str, Limits] | None = None,
        grid: float | None = None,
        random_state: int = 0,
    ) -> None:
        super().__init__(horizon=horizon, seasons=seasons, limits=limits, grid=grid, random_state=random_state)
        self.candidates = candidates
        self.holidays = holidays
        self.events = events

    def _prepare(self) -> None:
        names = self.candidates
        if names is None:
            names = list(CANDIDATES) if self.holidays or self.events else [NAIVE, "arima"]
        for name in names:
            if name not in CANDIDATES:
                raise ConfigError(f"no forecaster {name!r}; {allowed(name, CANDIDATES)}")
        self.members_: dict[str, Forecaster] = {}
        for name in dict.fromkeys([NAIVE, *names]):
            extra: dict[str, Any] = {"holidays": self.holidays, "events": self.events} if name == "prophet" else {}
            self.members_[name] = CANDIDATES[name](random_state=self.random_state, **extra)
            self.members_[name]._prepare()

    def _fit_series(self, key: Key, series: Series, origins: NDArray[np.int64], horizon: int) -> SeriesFit:
        fits = {name: member._fit_series(key, series, origins, horizon) for name, member in self.members_.items()}
        observed = observed_after(series.values, origins, horizon)
        common = ~np.isnan(observed)
        for fit in fits.values():
            common &= ~np.isnan(fit.backtest)
        mixes = [mix for n in range(1, len(fits) + 1) for mix in combinations(fits, n)]
        errors = {}  # mix -> (n_origins, horizon)
        for mix in mixes:
            mean = np.mean([fits[name].backtest for name in mix], axis=0)
            errors[mix] = np.where(common, np.abs(observed - np.clip(mean, *series.limits)), 0.0)
        # where there is no season, the last value is hard to beat, and what beat it on spikes was lucky
        default = tuple(fits) if series.seasons else (NAIVE,)
        weights = _weights(errors[NAIVE,]) if series.seasons else np.ones(horizon)
        missed = {mix: error @ weights for mix, error in errors.items()}  # (n_origins, horizon) -> (n_origins,)
        best = min(mixes, key=lambda mix: float(missed[mix].sum()))
        if not _better(missed[best], missed[default], DOUBT if series.seasons else 2 * DOUBT):
            best = default
        chosen = [fits[name] for name in best]
        return SeriesFit(
            "+".join(best),
            np.mean([fit.backtest for fit in chosen], axis=0),
            lambda h: np.mean([fit.ahead(h) for fit in chosen], axis=0),
        )


def _weights(naive: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weight of an error at each horizon ``(horizon,)``: the next hour as much as a far and harder one.

    Horizons that are alike (see `_intervals.buckets`) count together as much as any others, relative to what the
    seasonal-naive forecast missed there.
    """
    out = np.zeros(naive.shape[1])
    for a, b in buckets(naive.shape[1]):
        total = float(naive[:, a:b].sum())
        out[a:b] = 1 / total if total > 0 else 0.0
    return out if out.any() else np.ones_like(out)


def _better(errors: NDArray[np.float64], baseline: NDArray[np.float64], doubt: float) -> bool:
    """Check whether errors ``(n_origins,)`` are smaller by enough, and not by a few lucky origins only."""
    gain = baseline - errors
    chance = float(np.std(gain)) * np.sqrt(len(gain))
    return float(gain.sum()) > max(WORTH * float(baseline.sum()), doubt * chance)
