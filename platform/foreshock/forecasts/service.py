"""A forecast run: read, forecast, store, alert, write."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import numpy as np

from foreshock.alerts.pipeline import AlertPipeline
from foreshock.forecasts.exhaustion import update_exhaustion_alerts
from foreshock.forecasts.repository import ForecastRepository, SeriesForecast
from foreshock.store import Store
from foreshock_models.errors import WriteError
from foreshock_pipelines.datasets.windows import Windows
from foreshock_pipelines.forecasting.report import ForecastReport
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.jobs.forecast import forecast_windows
from foreshock_pipelines.progress import PartProgress
from foreshock_pipelines.sources import open_source

__all__ = ["read_history", "run_forecast", "save_forecast", "series_forecasts", "write_back"]


def run_forecast(job: Job, store: Store, note: Callable[[str], None]) -> dict[str, Any]:
    """A scheduled forecast of a job, as its file says."""
    windows = read_history(job)
    note(f"read {windows!r}")  # says why, if the answer was partial
    report = forecast_windows(
        windows, job, job.forecast.horizon, job.forecast.method, _tenths(note), level=job.forecast.level
    )
    changes = save_forecast(store, job, report, url="")
    note(f"forecast {len(report.methods())} series in {report.seconds:.1f} s; {len(report.skipped)} skipped")
    result = {**summary(report), "alerts": [f"{c.event}: {c.alert.summary}" for c in changes]}
    if job.write is not None:
        result["written"] = write_back(job, report)
        note(f"written: {result['written']}")
    return result


def read_history(job: Job, progress: PartProgress | None = None) -> Windows:
    """The newest rows of a job, as many as its forecast looks back on."""
    source = open_source(job)
    end = source.latest()
    return source.read(end - (job.forecast.history or job.history), end, progress=progress)


def save_forecast(store: Store, job: Job, report: ForecastReport, url: str) -> list[Any]:
    """Save a forecast as the latest of its job, and let its alerts follow; gives what changed of those."""
    now_ms = round(time.time() * 1000)
    forecasts = series_forecasts(report)
    ForecastRepository(store).replace(job.name, forecasts)
    return update_exhaustion_alerts(AlertPipeline(store, url), job, forecasts, now_ms, partial=bool(report.partial))


def write_back(job: Job, report: ForecastReport) -> str:
    """Write a forecast to the receiver of the job; gives what came of it. A receiver that is down fails no run."""
    from foreshock_pipelines.forecasting.export import write
    from foreshock_pipelines.prometheus.remote_write import RemoteWriter

    assert job.write is not None
    writer = RemoteWriter(job.write)
    try:
        done = write(writer, report, job, round(time.time() * 1000))
    except WriteError as exc:
        return f"not written: {exc}"
    finally:
        writer.close()
    how = "at their future times" if done.form == "future" else f"as gauges, for the receiver said: {done.reason}"
    lost = f"; {done.refused} refused: {done.reason}" if done.refused and done.form == "future" else ""
    return f"{done.samples} samples {how}{lost}"


def series_forecasts(report: ForecastReport) -> list[SeriesForecast]:
    """A forecast as the store keeps it."""
    made_ms = round(report.made.timestamp() * 1000)
    exhaustion = {(one.entity, one.feature): asdict(one) for one in report.exhaustion}
    out = [
        SeriesForecast(report.job, entity, feature, made_ms, skipped=reason)
        for (entity, feature), reason in report.skipped.items()
    ]
    for (entity, feature), rows in report.frame.groupby(["entity", "feature"], sort=False):
        times = rows["timestamp"].to_numpy("datetime64[ms]").astype(np.int64)
        first = rows.iloc[0]
        step = float(times[1] - times[0]) / 1000 if len(times) > 1 else report.horizon.total_seconds()
        out.append(
            SeriesForecast(
                report.job, str(entity), str(feature), made_ms, int(times[0]), step, report.level,
                rows[["point", "lower", "upper"]].to_numpy(), str(first["method"]), float(first["wape"]),
                float(first["baseline_wape"]), exhaustion.get((str(entity), str(feature))),
            )
        )  # fmt: skip
    return out


def summary(report: ForecastReport) -> dict[str, Any]:
    """JSON values that say how it went."""
    methods = report.methods()
    return {
        "job": report.job,
        "made": report.made.isoformat(timespec="seconds"),
        "horizon_hours": report.horizon / timedelta(hours=1),
        "level": report.level,
        "series": len(methods),
        "skipped": len(report.skipped),
        "methods": {str(name): int(n) for name, n in methods["method"].value_counts().items()},
        "wape": _number(methods["wape"].median()),
        "baseline_wape": _number(methods["baseline_wape"].median()),
        "seconds": round(report.seconds, 2),
        "partial": list(report.partial),
    }


def _number(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None


def _tenths(note: Callable[[str], None]) -> PartProgress:
    """A line for every tenth of the series."""
    said = 0

    def progress(done: int, total: int) -> None:
        nonlocal said
        if total and done * 10 // total > said:
            said = done * 10 // total
            note(f"{done} of {total} series")

    return progress
