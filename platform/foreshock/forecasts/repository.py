"""The latest forecast of each series, in the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from foreshock.store import tables as t
from foreshock.store.store import Store

__all__ = ["ForecastRepository", "SeriesForecast"]

ROWS = np.dtype("<f8")


def _no_rows() -> NDArray[np.float64]:
    return np.empty((0, 3))


@dataclass(frozen=True)
class SeriesForecast:
    """The forecast of one feature of one entity. Times are ms since the epoch.

    ``rows`` ``(n_rows, 3)``: point, lower and upper end, each the mean over `step` seconds; the first begins at
    ``start_ms``. ``wape`` and ``baseline_wape`` are the backtest errors of the forecast and of seasonal naive; NaN
    where they mean nothing. ``exhaustion``: the fields of a `TimeToExhaustion`. ``skipped``: why there are no rows.
    """

    job: str
    entity: str
    feature: str
    made_ms: int
    start_ms: int = 0
    step: float = 0.0
    level: float = 0.0
    rows: NDArray[np.float64] = field(default_factory=_no_rows)
    method: str = ""
    wape: float = np.nan
    baseline_wape: float = np.nan
    exhaustion: dict[str, Any] | None = None
    skipped: str | None = None

    @property
    def horizon(self) -> timedelta:
        return timedelta(seconds=len(self.rows) * self.step)

    @property
    def times(self) -> NDArray[np.int64]:
        """``(n_rows,)``: the beginning of each row."""
        return self.start_ms + np.arange(len(self.rows), dtype=np.int64) * round(self.step * 1000)

    def at(self, ms: int) -> NDArray[np.float64] | None:
        """Point, lower and upper end of the row that holds a time; None where the forecast does not reach."""
        row = (ms - self.start_ms) // max(1, round(self.step * 1000))
        return self.rows[row] if 0 <= row < len(self.rows) else None

    def exhausted_ms(self, end: str = "seconds") -> float | None:
        """When it runs out: the median (``seconds``) or an end of the interval (``lower``, ``upper``).

        Infinite where that is later than the forecast looks; None where nothing can run out.
        """
        if self.exhaustion is None:
            return None
        seconds = self.exhaustion[end]
        return float("inf") if seconds is None else self.start_ms + 1000 * seconds


class ForecastRepository:
    """Forecasts of jobs; a new one of a job takes the place of the one before."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def replace(self, job: str, forecasts: Sequence[SeriesForecast]) -> None:
        """Keep these, and none else of the job; a reader sees either all of the old or all of the new."""
        with self.store.begin() as c:
            c.execute(sa.delete(t.forecasts).where(t.forecasts.c.job == job))
            if forecasts:
                c.execute(sa.insert(t.forecasts), [_row(one) for one in forecasts])

    def find(
        self,
        job: str | None = None,
        *,
        entity: str | None = None,
        feature: str | None = None,
        exhaustible: bool = False,
        after: tuple[str, str] | None = None,
        limit: int | None = None,
    ) -> list[SeriesForecast]:
        """By job, entity and feature.

        Parameters
        ----------
        exhaustible
            Only what can run out.
        after, limit
            A page: at most so many, after this entity and feature.
        """
        f = t.forecasts.c
        query = sa.select(t.forecasts).order_by(f.job, f.entity, f.feature).limit(limit)
        for column, value in ((f.job, job), (f.entity, entity), (f.feature, feature)):
            if value is not None:
                query = query.where(column == value)
        if exhaustible:
            query = query.where(f.exhaustion.is_not(None))
        if after is not None:
            query = query.where(sa.tuple_(f.entity, f.feature) > sa.tuple_(*after))
        with self.store.begin() as c:
            return [_forecast(row) for row in c.execute(query).mappings()]

    def entities(self, job: str) -> list[str]:
        """Entities that the latest forecast of a job knows."""
        query = sa.select(t.forecasts.c.entity).where(t.forecasts.c.job == job).distinct()
        with self.store.begin() as c:
            return sorted(c.execute(query).scalars())


def _row(one: SeriesForecast) -> dict[str, Any]:
    return {
        "job": one.job, "entity": one.entity, "feature": one.feature, "made_ms": one.made_ms,
        "start_ms": one.start_ms, "step_s": one.step, "level": one.level,
        "rows": np.ascontiguousarray(one.rows, dtype=ROWS).tobytes(), "method": one.method,
        "wape": one.wape if np.isfinite(one.wape) else None,
        "baseline_wape": one.baseline_wape if np.isfinite(one.baseline_wape) else None,
        "exhaustion": one.exhaustion, "skipped": one.skipped,
    }  # fmt: skip


def _forecast(row: Any) -> SeriesForecast:
    wape, baseline = (np.nan if row[name] is None else row[name] for name in ("wape", "baseline_wape"))
    return SeriesForecast(
        row["job"], row["entity"], row["feature"], row["made_ms"], row["start_ms"], row["step_s"], row["level"],
        np.frombuffer(row["rows"], dtype=ROWS).reshape(-1, 3).astype(np.float64), row["method"], wape, baseline,
        row["exhaustion"], row["skipped"],
    )  # fmt: skip
