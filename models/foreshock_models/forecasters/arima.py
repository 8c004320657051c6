"""ARIMA on what the seasons leave, with statsforecast."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from statsforecast.arima import ndiffs
from statsforecast.models import AutoARIMA

from foreshock_models.forecasters._forecaster import Forecaster
from foreshock_models.forecasters._grid import Series
from foreshock_models.forecasters._seasons import fill, profile
from foreshock_models.forecasters._validation import Key, SeriesFit, observed_after

__all__ = ["ARIMA"]

MAX_ORDER = 2
MAX_MODELS = 6
"""That the search for orders tries: the four that it begins with, and the best ones' neighbours."""
LONG = 20
"""Lags of the model that gives the innovations."""
RIDGE = 1e-9
EDGE = 0.99
"""Largest root of the AR and MA parts: beyond 1 a forecast explodes."""


class ARIMA(Forecaster):
    """A seasonal profile, and an ARIMA model of the rest.

    Seasonal ARIMA of a day of 10-minute rows has lags of 144, and one fit takes minutes. Here the profile of each
    season (see `_seasons.profile`) is taken off first, as in statsforecast's MSTL. Differencing is decided by the
    KPSS test, orders are found by AutoARIMA once for each feature, and coefficients are estimated for each entity.
    They come from the rows before the validation; profile and level are learnt again at each origin.

    Source: Hyndman and Khandakar, Automatic time series forecasting: the forecast package for R, 2008.

    Examples
    --------
    >>> import numpy as np
    >>> day = 10 + np.sin(np.arange(14 * 24) / 24 * 2 * np.pi)
    >>> from foreshock_models.panel import Panel
    >>> forecast = ARIMA().fit(Panel.of(day, step=3600)).predict(24)
    >>> bool(np.allclose(forecast.point[0, :, 0], day[:24], atol=0.05))
    True
    """

    name = "arima"

    def _prepare(self) -> None:
        self.orders_: dict[tuple[str, int], tuple[int, int]] = {}
        """Feature and number of differences to the orders of the AR and MA parts."""

    def _fit_series(self, key: Key, series: Series, origins: NDArray[np.int64], horizon: int) -> SeriesFit:
        # a day that differs from weekday to weekday is no sum of a day and a week: the week alone, in full
        choices = [series.seasons, series.seasons[-1:]] if len(series.seasons) > 1 else [series.seasons]
        fits = [self._fit_with(key, series, seasons, origins, horizon) for seasons in choices]
        observed = observed_after(series.values, origins, horizon)
        return min(fits, key=lambda fit: float(np.nansum(np.abs(observed - fit.backtest))))

    def _fit_with(
        self, key: Key, series: Series, seasons: tuple[int, ...], origins: NDArray[np.int64], horizon: int
    ) -> SeriesFit:
        values = series.values
        _, scale, rest = _rest(values[: origins[0]], seasons, 0)
        model = self._estimate(key[1], rest / scale)

        def ahead(history: NDArray[np.float64], h: int) -> NDArray[np.float64]:
            shape, _, rest = _rest(history, seasons, h)
            points = model.ahead(rest / scale, h) * scale + shape[len(history) :]
            low, high = np.nanmin(history), np.nanmax(history)
            return np.clip(points, low - (high - low), high + (high - low))  # no line runs on for ever

        backtest = np.array([ahead(values[:origin], horizon) for origin in origins])
        return SeriesFit("arima", backtest, lambda h: ahead(values, h))

    def _estimate(self, feature: str, rest: NDArray[np.float64]) -> _Arma:
        """Order and coefficients for what the seasons leave ``(n_rows,)``, of unit scale."""
        d = int(ndiffs(rest, max_d=1))  # type: ignore[no-untyped-call]
        moves = np.diff(rest) if d else rest
        if np.std(moves) < 1e-8:
            return _Arma(d, np.ones(1), np.ones(1), bool(d) and abs(float(moves.mean())) > 1e-8)
        order = self.orders_.get((feature, d))
        if order is None:
            order = self.orders_[feature, d] = _search(moves)
        phi, theta = _coefficients(moves, *order)
        if not (_inside(phi) and _inside(theta)):
            centred = moves - moves.mean()
            first = float(np.sum(centred[1:] * centred[:-1]) / np.sum(centred**2))
            phi, theta = np.array([1.0, -np.clip(first, -EDGE, EDGE)]), np.ones(1)
        # variance of the mean of correlated moves: a drift is kept only where it stands out of it
        spread = np.std(lfilter(phi, theta, moves - moves.mean())) * abs(theta.sum() / phi.sum())
        drift = bool(d) and abs(float(moves.mean())) > 2 * spread / np.sqrt(len(moves))
        return _Arma(d, phi, theta, drift)


@dataclass(frozen=True)
class _Arma:
    """``phi(B) (1 - B)^d (y - mean) = theta(B) e``, with B the shift by a row."""

    d: int
    phi: NDArray[np.float64]
    theta: NDArray[np.float64]
    drift: bool

    def ahead(self, values: NDArray[np.float64], horizon: int) -> NDArray[np.float64]:
        """Expected next values ``(horizon,)``: innovations of the past, and none in the future."""
        moves = np.diff(values) if self.d else values
        mean = float(moves.mean()) if self.drift or not self.d else 0.0
        innovations = lfilter(self.phi, self.theta, moves - mean)
        expected = lfilter(self.theta, self.phi, np.concatenate([innovations, np.zeros(horizon)]))
        points: NDArray[np.float64] = expected[len(moves) :] + mean
        return values[-1] + np.cumsum(points) if self.d else points


def _rest(
    values: NDArray[np.float64], seasons: tuple[int, ...], horizon: int
) -> tuple[NDArray[np.float64], float, NDArray[np.float64]]:
    """Profile ``(n_rows + horizon,)``, spread, and what the profile leaves ``(n_rows,)``."""
    shape = profile(values, seasons, horizon)
    rest = fill(values, shape)
    return shape, max(float(np.std(rest)), 1e-12 * max(1.0, float(np.abs(rest).max()))), rest


def _search(values: NDArray[np.float64]) -> tuple[int, int]:
    """Orders of AR and MA that AutoARIMA prefers by AICc."""
    search = AutoARIMA(
        d=0, D=0, max_p=MAX_ORDER, max_q=MAX_ORDER, seasonal=False, approximation=True, method="CSS",
        nmodels=MAX_MODELS,
    )  # fmt: skip
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # an optimiser that stops early or tries an impossible step is not news
        warnings.filterwarnings("ignore", category=UserWarning, module=r"statsforecast\.arima")
        warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"statsforecast|scipy")
        arma = search.fit(values).model_["arma"]
    return int(arma[0]), int(arma[1])


def _coefficients(values: NDArray[np.float64], p: int, q: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Polynomials of the AR ``(p + 1,)`` and the MA part ``(q + 1,)``.

    By two regressions (Hannan and Rissanen, Recursive estimation of mixed autoregressive-moving average order,
    1982): a long AR model gives the innovations, on which the values are then regressed. An optimiser finds little
    better ones in a hundred times the time.
    """
    centred = values - values.mean()
    if q == 0:
        return np.array([1.0, *-_regress(centred, [_lagged(centred, p)])]), np.ones(1)
    long = _lagged(centred, min(LONG, len(values) // 8))
    innovations = centred - long @ _regress(centred, [long])
    both = _regress(centred, [_lagged(centred, p), _lagged(innovations, q)])
    return np.array([1.0, *-both[:p]]), np.array([1.0, *both[p:]])


def _lagged(values: NDArray[np.float64], lags: int) -> NDArray[np.float64]:
    """Column `i` holds the values of ``i + 1`` rows before ``(n_rows, lags)``; 0 before the first."""
    out = np.zeros((len(values), lags))
    for i in range(lags):
        out[i + 1 :, i] = values[: len(values) - i - 1]
    return out


def _regress(values: NDArray[np.float64], columns: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Least squares, with a ridge that keeps it solvable."""
    x = np.hstack(columns)
    gram = x.T @ x
    solution: NDArray[np.float64] = np.linalg.solve(
        gram + RIDGE * (1.0 + np.trace(gram)) * np.eye(len(gram)), x.T @ values
    )
    return solution


def _inside(polynomial: NDArray[np.float64]) -> bool:
    """Check whether all roots of a stationary or invertible part are small enough."""
    return bool(np.all(np.abs(np.roots(polynomial)) < EDGE)) if len(polynomial) > 1 else True
