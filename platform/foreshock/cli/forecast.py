"""``foreshock forecast | capacity``: what is to come, and what runs out first."""

from __future__ import annotations

import math
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from foreshock.cli.app import app
from foreshock.cli.options import (
    AsJson,
    ConfigPath,
    console,
    positive_duration,
    print_json,
    settings_for_ray,
    stage_line,
    steps_bar,
)

if TYPE_CHECKING:
    import pandas as pd

    from foreshock_pipelines.jobfile import Job
    from foreshock_pipelines.jobs.forecast import ForecastReport

Horizon = Annotated[str | None, typer.Option(help="How far ahead, as in 24h; default: the job's.")]
Method = Annotated[str | None, typer.Option(help="auto, arima, prophet, seasonal_naive; default: the job's.")]


@app.command()
def forecast(
    config: ConfigPath,
    horizon: Horizon = None,
    method: Method = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write every row to a Parquet or CSV file.")
    ] = None,
    save: Annotated[
        bool, typer.Option("--save/--no-save", help="Keep it as the job's latest, alert, and write it back.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Forecast every feature of every entity, with intervals and backtest errors."""
    from foreshock.schedule.forecast import summary, write_back

    if output is not None and output.suffix not in (".parquet", ".csv"):
        raise typer.BadParameter(f"{output}: the file is named *.parquet or *.csv", param_hint="--output")
    job, report = _forecast(config, horizon, method)
    result: dict[str, Any] = summary(report)
    if output is not None:
        _write(output, report.frame)
    if save:
        result["alerts"] = _keep(job, report)
        if job.write is not None:
            result["written"] = write_back(job, report)
    if as_json:
        result["forecasts"] = _series(report)
        result["skipped"] = [{"entity": e, "feature": f, "why": why} for (e, f), why in report.skipped.items()]
        print_json(result)
        return
    _show(report)
    for line in [*result.get("alerts", []), *([result["written"]] if "written" in result else [])]:
        console.print(line, highlight=False, soft_wrap=True)
    if output is not None:
        console.print(f"{output}: {len(report.frame)} rows", highlight=False, soft_wrap=True)


@app.command()
def capacity(config: ConfigPath, horizon: Horizon = None, method: Method = None, as_json: AsJson = False) -> None:
    """List what runs out first, of the features with `exhaustion:` in the job file; keeps nothing."""
    from foreshock_models.errors import ConfigError
    from foreshock_pipelines.jobfile import load_job
    from foreshock_pipelines.jobs.forecast import capacity as table_of

    wanted = [name for name, query in load_job(config).queries.items() if query.exhaustion]
    if not wanted:
        raise ConfigError(
            f"{config}: no query says what may run out; write for example exhaustion: {{limit: 95%}} to one"
        )
    _, report = _forecast(config, horizon, method, wanted)
    found = table_of(report)
    if as_json:
        rows = found.replace([math.inf], None).to_dict("records")
        print_json([{k: None if v != v else v for k, v in row.items()} for row in rows])
        return
    table = Table("entity", "feature", "limit", "runs out in", f"{report.level:.0%} interval", "likely within")
    for row in found.to_dict("records"):
        style = "red" if row["alert"] else None
        within = f"{row['probability']:.0%} in {row['within_hours']:g} h"
        span = f"{_hours(row['lower_hours'])} to {_hours(row['upper_hours'])}"
        table.add_row(
            row["entity"], row["feature"], f"{row['limit']:g}", _hours(row["hours"]), span, within, style=style
        )
    console.print(table)
    for (entity, feature), why in report.skipped.items():
        console.print(f"[yellow]no forecast of {feature} of {entity}: {why}[/yellow]", highlight=False)


def _forecast(
    config: Path, horizon: str | None, method: str | None, features: list[str] | None = None
) -> tuple[Job, ForecastReport]:
    """Read the history of a job and forecast it, with progress."""
    settings = settings_for_ray()
    from foreshock.schedule.forecast import read_history
    from foreshock.up import ray_cluster
    from foreshock_models.forecasters import find
    from foreshock_pipelines.jobfile import load_job
    from foreshock_pipelines.jobs.forecast import forecast_windows

    job = load_job(config)
    chosen = method or job.forecast.method
    find(chosen)
    ahead = positive_duration(horizon, "--horizon") if horizon else job.forecast.horizon
    with steps_bar(f"reading {job.name}") as progress:
        windows = read_history(job, progress)
    if features is not None:
        windows = windows.keep(features)
    with ExitStack() as ray, ExitStack() as stage:
        stage.enter_context(stage_line("starting Ray"))
        ray.enter_context(ray_cluster(settings))
        stage.close()  # one live display at a time
        with steps_bar(f"forecasting {job.name}") as progress:
            report = forecast_windows(windows, job, ahead, chosen, progress, level=job.forecast.level)
    return job, report


def _keep(job: Job, report: ForecastReport) -> list[str]:
    from foreshock.schedule.forecast import keep
    from foreshock.settings import load_settings
    from foreshock.store import open_store

    settings = load_settings()
    store = open_store(settings.store)
    try:
        changes = keep(store, job, report, settings.url)
    finally:
        store.close()
    return [f"{change.event}: {change.alert.summary}" for change in changes]


def _series(report: ForecastReport) -> list[dict[str, Any]]:
    from foreshock.schedule.forecast import rows_of
    from foreshock.serving.predictions import prediction

    return [prediction(one) for one in rows_of(report) if not one.skipped]


def _write(path: Path, frame: pd.DataFrame) -> None:
    """Write beside the file, then into its place: a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        if path.suffix == ".csv":
            frame.to_csv(part, index=False)
        else:
            frame.to_parquet(part, index=False, compression="zstd")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _show(report: ForecastReport) -> None:
    """One line a series: now, at the end, and how far the method was off in its backtest."""
    hours = report.horizon / timedelta(hours=1)
    title = f"{report.job}: {hours:g} h ahead, {report.level:.0%} intervals"
    table = Table(
        "entity", "feature", "next", f"in {hours:g} h", "interval", "method", "error", "naive", title=title
    )
    for (entity, feature), rows in report.frame.groupby(["entity", "feature"], sort=True):
        first, last = rows.iloc[0], rows.iloc[-1]
        table.add_row(
            str(entity), str(feature), f"{first['point']:.4g}", f"{last['point']:.4g}",
            f"{last['lower']:.4g} to {last['upper']:.4g}", last["method"],
            _percent(last["wape"]), _percent(last["baseline_wape"]),
        )  # fmt: skip
    console.print(table)
    for (entity, feature), why in report.skipped.items():
        console.print(f"[yellow]no forecast of {feature} of {entity}: {why}[/yellow]", highlight=False)
    console.print(f"{len(report.methods())} series in {report.seconds:.1f} s", highlight=False)


def _percent(value: float) -> str:
    return f"{value:.1%}" if math.isfinite(value) else "–"


def _hours(value: float) -> str:
    return f"{value:.3g} h" if math.isfinite(value) else "later"
