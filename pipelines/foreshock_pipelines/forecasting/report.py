"""The report of a forecast."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pandas as pd

from foreshock_models.errors import DataError
from foreshock_models.forecasters import TimeToExhaustion

__all__ = ["COLUMNS", "ForecastReport"]

COLUMNS = ("entity", "feature", "timestamp", "point", "lower", "upper", "method", "wape", "baseline_wape")


@dataclass(frozen=True)
class ForecastReport:
    """Forecasts of a job: one row per entity, feature and time.

    ``frame``: the columns `COLUMNS`; a time is the beginning of a row of `step` seconds, and values are means over
    it. ``level`` of the intervals. ``exhaustion``: for the features whose query has ``exhaustion:``; ``lines``: the
    probability from which on each of them alerts. ``skipped``: entity and feature to the reason why there is no
    forecast; a series that is absent at the end of the history is among them. ``newest``: entity and feature to the
    last sample. ``seconds``: how long it took. ``partial``: why the source may have left out series.
    """

    job: str
    frame: pd.DataFrame
    level: float
    horizon: timedelta
    made: datetime
    exhaustion: tuple[TimeToExhaustion, ...] = ()
    skipped: dict[tuple[str, str], str] = field(default_factory=dict)
    seconds: float = 0.0
    lines: dict[str, float] = field(default_factory=dict)
    newest: dict[tuple[str, str], float] = field(default_factory=dict)
    partial: tuple[str, ...] = ()

    def to_pandas(self) -> pd.DataFrame:
        """Return one row per entity, feature and time."""
        return self.frame

    def series(self, entity: str, feature: str) -> pd.DataFrame:
        """Return the rows of one series, by time."""
        frame = self.frame
        rows = frame[(frame["entity"] == entity) & (frame["feature"] == feature)]
        if rows.empty:
            reason = self.skipped.get((entity, feature), "no such entity or feature in these windows")
            raise DataError(f"no forecast of {feature} of {entity}: {reason}")
        return rows.reset_index(drop=True)

    def methods(self) -> pd.DataFrame:
        """Return one row per series: its method, and its backtest error beside that of seasonal naive."""
        columns = ["entity", "feature", "method", "wape", "baseline_wape"]
        return self.frame[columns].drop_duplicates(["entity", "feature"]).reset_index(drop=True)

    def __repr__(self) -> str:
        n = len(self.methods())
        hours = self.horizon.total_seconds() / 3600
        return f"ForecastReport({self.job!r}: {n} series, {hours:g} h ahead, {len(self.skipped)} skipped)"

    def _repr_html_(self) -> str:
        from html import escape

        table = self.methods().to_html(index=False, border=0, float_format=lambda x: f"{x:.3f}", max_rows=20)
        return f"<p>{escape(repr(self))}</p>{table}"
