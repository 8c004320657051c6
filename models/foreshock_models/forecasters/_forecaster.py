"""The common base of forecasters: the grid, seasons, validation by rolling origin, intervals."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foreshock_models.errors import DataError, NotEnoughData, NotFitted, allowed
from foreshock_models.estimator import Estimator
from foreshock_models.forecasters._baseline import seasonal_naive_fit
from foreshock_models.forecasters._forecast import Forecast
from foreshock_models.forecasters._grid import Limits, Series, choose_grid, limits_of, on_grid
from foreshock_models.forecasters._intervals import Errors
from foreshock_models.forecasters._seasons import SEASONS, find_seasons, rows_of
from foreshock_models.forecasters._validation import (
    Key,
    SeriesFit,
    Validated,
    observed_after,
    validation_origins,
    wape,
)
from foreshock_models.panel import Panel

__all__ = ["Forecaster"]

MIN_ROWS = 24
MAX_SILENCE = 0.25
"""A series whose newest samples are missing for more than this share of its rows is not forecast."""


class Forecaster(Estimator, ABC):
    """A forecaster of metrics: fit, then predict points with intervals.

    Fine series are averaged onto a coarser grid first (see `grid_`, and the `grid` parameter): a forecast is of
    the mean over a cell of that grid. Seasons are found from the data. The last third of the history is forecast
    from rolling origins, each time from the rows before the origin; those errors give the intervals and the
    backtest error.

    Parameters
    ----------
    horizon
        How far ahead the validation looks; default a day, and at most a third of the history. A longer `predict`
        validates again as far as the history allows; beyond that, intervals grow with the root of the horizon.
    seasons
        Names of the seasons to use (``"hour"``, ``"day"``, ``"week"``) in place of those found in the data.
    limits
        Lowest and highest possible value, of all features or by feature; None where open. Points and intervals
        stay inside. Default: at least 0 where no sample is negative.
    grid
        Seconds of a cell; default the finest that keeps the history under about 2,000 rows.
    random_state
        Of what is random; the same seed gives the same forecast.
    """

    name: ClassVar[str]

    def __init__(
        self,
        *,
        horizon: timedelta | None = None,
        seasons: Sequence[str] | None = None,
        limits: Limits | Mapping[str, Limits] | None = None,
        grid: float | None = None,
        random_state: int = 0,
    ) -> None:
        self.horizon = horizon
        self.seasons = seasons
        self.limits = limits
        self.grid = grid
        self.random_state = random_state

    def skipped_checks(self) -> Mapping[str, str]:
        """Return the checks of `foreshock_models.checks` that are invalid for this forecaster, with the reason."""
        return {}

    def _prepare(self) -> None:
        """Begin a new fit: check parameters, forget what was learnt."""

    @abstractmethod
    def _fit_series(self, key: Key, series: Series, origins: NDArray[np.int64], horizon: int) -> SeriesFit:
        """Fit one series; `origins` are numbers of rows, each the first row that is forecast."""

    def fit(self, X: Any, y: Any = None, *, entities: ArrayLike | None = None) -> Self:
        """Fit and validate each feature of each entity.

        Parameters
        ----------
        X
            Rows in time order, ``(n_rows, n_features)``: a window, a `Panel`, a DataFrame or an array.
        y
            Not used; there for scikit-learn's tools.
        entities
            ``(n_rows,)`` entity of each row, where `X` does not carry it.

        Raises
        ------
        NotEnoughData
            No series has enough rows, or too few for a season that was asked for.
        DataError
            Limits or seasons that make no sense.
        """
        panel = Panel.of(X, entities=entities)
        self._prepare()
        rows = int(np.diff(panel.offsets).max())
        if self.grid is not None and self.grid < panel.step:
            raise DataError(f"grid must be at least the step of the rows, {panel.step:g} s; got {self.grid:g} s")
        self.grid_ = float(self.grid or choose_grid(panel.step, rows))
        self.entities_ = panel.entities
        self.features_in_ = panel.features
        self.series_: dict[Key, Series] = {}
        self.skipped_: dict[Key, str] = {}
        self._ends = {}
        for entity, part in panel:
            for j, feature in enumerate(panel.features):
                limits = limits_of(self.limits, feature, panel)
                values, start = on_grid(panel.timestamps[part], panel.values[part, j], self.grid_, panel.step)
                self._ends[entity] = start + len(values) * round(self.grid_ * 1000)
                self._take((entity, feature), values, start, limits)
        if not self.series_:
            key, reason = next(iter(self.skipped_.items()))
            raise NotEnoughData(f"nothing to forecast: {' '.join(filter(None, key))}: {reason}")
        wanted = (self.horizon or timedelta(days=1)).total_seconds()
        self.validated_: dict[int, dict[Key, Validated]] = {}
        self._first = max(1, round(wanted / self.grid_))
        self._validate(self._first)
        return self

    def predict(self, horizon_rows: int | timedelta, levels: Sequence[float] = (0.8,)) -> Forecast:
        """Forecast the rows after the last one of `fit`.

        Parameters
        ----------
        horizon_rows
            How far: a number of rows of `grid_` seconds, or a time.
        levels
            Of the intervals: 0.8 holds the observed value 8 times in 10.

        Raises
        ------
        NotFitted
            Before `fit`.
        DataError
            A horizon of no rows or longer than the history, or a level that is not between 0 and 1.
        """
        if not hasattr(self, "series_"):
            raise NotFitted(f"this {type(self).__name__} is not fitted yet: call fit(windows) first")
        horizon = self._rows(horizon_rows)
        if not levels or not all(0 < level < 1 for level in levels):
            raise DataError(f"levels must lie between 0 and 1, as in (0.8, 0.95); got {tuple(levels)}")
        checked = self._validate(max(horizon, self._first))
        levels = tuple(sorted(levels))
        shape = (len(self.entities_), horizon, len(self.features_in_))
        point = np.full(shape, np.nan)
        lower = np.full((len(levels), *shape), np.nan)
        upper = np.full((len(levels), *shape), np.nan)
        paths: dict[Key, NDArray[np.float64]] = {}
        for (entity, feature), series in self.series_.items():
            done = checked[entity, feature]
            i, j = self.entities_.index(entity), self.features_in_.index(feature)
            rows = slice(series.ahead, series.ahead + horizon)
            ahead = done.fit.ahead(rows.stop)[rows]
            point[i, :, j] = np.clip(ahead, *series.limits)
            for n, level in enumerate(levels):
                low, high = done.errors.offsets(level, rows.stop)
                lower[n, i, :, j] = np.clip(ahead + low[rows], *series.limits)
                upper[n, i, :, j] = np.clip(ahead + high[rows], *series.limits)
            paths[entity, feature] = np.clip(ahead + done.errors.paths(rows.stop)[:, rows], *series.limits)
        size = round(self.grid_ * 1000)
        starts = np.array([self._ends[entity] for entity in self.entities_], dtype=np.int64)
        return Forecast(
            entities=self.entities_,
            features=self.features_in_,
            step=self.grid_,
            timestamps=starts[:, None] + np.arange(horizon, dtype=np.int64) * size,
            point=point,
            levels=levels,
            lower=lower,
            upper=upper,
            method={key: done.fit.method for key, done in checked.items()},
            wape={key: done.wape for key, done in checked.items()},
            baseline_wape={key: done.baseline_wape for key, done in checked.items()},
            paths=paths,
            skipped=dict(self.skipped_),
        )

    # -- inside ----------------------------------------------------------------------------------------
    def _take(self, key: Key, values: NDArray[np.float64], start: int, limits: tuple[float, float]) -> None:
        """Keep a series, or the reason why it cannot be forecast."""
        present = np.flatnonzero(~np.isnan(values))
        if len(present) < MIN_ROWS:
            self.skipped_[key] = (
                f"{len(present)} rows of {self.grid_:g} s with a sample, {MIN_ROWS} are needed; "
                "take a longer history or a smaller step"
            )
            return
        ahead = len(values) - 1 - int(present[-1])
        if ahead > MAX_SILENCE * len(values):
            self.skipped_[key] = f"no sample in the last {timedelta(seconds=ahead * self.grid_)}"
            return
        first = int(present[0])
        kept = values[first : present[-1] + 1]
        begin = start + first * round(self.grid_ * 1000)
        self.series_[key] = Series(kept, begin, self.grid_, self._seasons_of(kept), limits, ahead)

    def _seasons_of(self, values: NDArray[np.float64]) -> tuple[int, ...]:
        if self.seasons is None:
            return find_seasons(values, self.grid_)
        out = []
        for name in self.seasons:
            if name not in SEASONS:
                raise DataError(f"no season {name!r}; {allowed(name, SEASONS)}")
            rows = rows_of(name, self.grid_)
            if rows is None:
                raise DataError(f"a grid of {self.grid_:g} s does not divide the {name}; pass another grid=")
            if rows > len(values):
                raise NotEnoughData(
                    f"{len(values)} rows of {self.grid_:g} s are fewer than one {name} ({rows} rows); "
                    "take a longer history, or leave seasons= out"
                )
            out.append(rows)
        return tuple(sorted(out))

    def _rows(self, horizon: int | timedelta) -> int:
        rows = -int(-horizon.total_seconds() // self.grid_) if isinstance(horizon, timedelta) else int(horizon)
        if rows < 1:
            raise DataError(f"the horizon must be at least one row of {self.grid_:g} s; got {horizon}")
        longest = max(series.n_rows for series in self.series_.values())
        if rows > longest:
            raise DataError(
                f"a horizon of {rows} rows is longer than the history of {longest} rows of {self.grid_:g} s; "
                "ask for less, or take a longer history"
            )
        return rows

    def _validate(self, horizon: int) -> dict[Key, Validated]:
        """Fit every series, and measure its errors up to `horizon` rows or a third of its history; once each."""
        if horizon in self.validated_:
            return self.validated_[horizon]
        checked = self.validated_[horizon] = {}
        for key, series in self.series_.items():
            far = min(horizon, series.n_rows // 3)
            origins = validation_origins(series.n_rows, far)
            fit = self._fit_series(key, series, origins, far)
            observed = observed_after(series.values, origins, far)
            errors = observed - np.clip(fit.backtest, *series.limits)
            naive = observed - np.clip(seasonal_naive_fit(series, origins, far).backtest, *series.limits)
            naive[np.isnan(errors)] = np.nan  # compared on the same rows
            checked[key] = Validated(fit, Errors(errors), wape(errors, observed), wape(naive, observed))
        return checked
