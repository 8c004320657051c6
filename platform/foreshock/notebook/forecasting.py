"""``foreshock.forecast``: forecasts in a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from foreshock_models.errors import DataError
from foreshock_pipelines.datasets.windows import Windows
from foreshock_pipelines.forecasting.report import ForecastReport
from foreshock_pipelines.jobfile import Job, load_job, parse_duration
from foreshock_pipelines.jobs.forecast import forecast_windows
from foreshock_pipelines.progress import PartProgress

__all__ = ["forecast"]


def forecast(
    windows: Windows,
    horizon: str | timedelta = "24h",
    method: str = "auto",
    *,
    job: Job | str | Path | None = None,
    level: float = 0.8,
    limits: Mapping[str, tuple[float | None, float | None]] | None = None,
    exhaustion: Mapping[str, Mapping[str, Any]] | None = None,
    holidays: str | None = None,
    progress: PartProgress | None = None,
) -> ForecastReport:
    """Forecast every feature of every entity of some windows.

    Parameters
    ----------
    horizon
        How far ahead: ``"24h"``, or a timedelta.
    method
        ``auto``, ``arima``, ``prophet`` or ``seasonal_naive``.
    job
        A job or the path of a job file, whose limits, exhaustion rules, holidays and events are used; in its place,
        `limits` (feature to lowest and highest possible value), `exhaustion` (feature to ``{"limit": "95%",
        "within": "24h"}``) and `holidays` (a country).

    Raises
    ------
    DataError
        A horizon that is not a duration or longer than the history, or an unknown feature.

    Examples
    --------
    >>> import foreshock
    >>> windows = foreshock.demo_fleet(hosts=1, days=4, step=600, incidents=0)[0].keep(["cpu"])
    >>> foreshock.forecast(windows, horizon="6h", method="seasonal_naive")
    ForecastReport('demo': 1 series, 6 h ahead, 0 skipped)
    """
    try:
        ahead = parse_duration(horizon)
    except ValueError as exc:
        raise DataError(f"horizon: {exc}") from exc
    if isinstance(job, str | Path):
        job = load_job(job)
    if job is None:
        job = _job(windows, limits or {}, exhaustion or {}, holidays)
    return forecast_windows(windows, job, ahead, method, progress, level=level)


def _job(
    windows: Windows,
    limits: Mapping[str, tuple[float | None, float | None]],
    exhaustion: Mapping[str, Mapping[str, Any]],
    holidays: str | None,
) -> Job:
    """A job of the windows' own features, with the rules that were given."""
    from foreshock_models.errors import allowed

    for name in [*limits, *exhaustion]:
        if name not in windows.features:
            raise DataError(f"these windows have no feature {name!r}; {allowed(name, windows.features)}")
    queries: dict[str, dict[str, Any]] = {
        name: {"query": windows.queries.get(name, name), "valid_range": limits.get(name)}
        for name in windows.features
    }
    for name, rule in exhaustion.items():
        rule = dict(rule)
        queries[name]["direction"] = rule.pop("direction", "both")
        queries[name]["exhaustion"] = rule
    try:
        return Job.model_validate(
            {
                "name": windows.job or "notebook",
                "source": {"parquet": "windows.parquet"},
                "queries": queries,
                "entity": list(windows.labels) or ["entity"],
                "step": windows.step,
                "holidays": holidays,
            }
        )
    except ValueError as exc:
        raise DataError(f"limits or exhaustion: {exc}") from exc
