"""``foreshock forecast | capacity``: what is to come, and what runs out first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foreshock.cli.app import app
from foreshock.cli.console import say, show_json, show_table, tell_partial
from foreshock.cli.files import make_room, writing
from foreshock.cli.formats import count, number, share
from foreshock.cli.options import AsJson, ConfigPath, positive_duration, settings_for_ray
from foreshock.cli.progress import stage_line, steps_bar

if TYPE_CHECKING:
    import pandas as pd

    from foreshock_pipelines.forecasting.report import ForecastReport
    from foreshock_pipelines.jobfile import Job

ROUNDED = {
    "now": 6, "limit": 6, "hours": 2, "lower_hours": 2, "upper_hours": 2, "within_hours": 2, "looked_hours": 2,
    "probability": 4,
}  # fmt: skip
"""Decimals of the columns of `capacity` in JSON."""

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
    from foreshock.forecasts.service import summary, write_back

    if output is not None and output.suffix not in (".parquet", ".csv"):
        raise typer.BadParameter(f"{output}: the file is named *.parquet or *.csv", param_hint="--output")
    make_room(output)
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
        show_json(result)
        return
    _show(report)
    for line in [*result.get("alerts", []), *([result["written"]] if "written" in result else [])]:
        say(line)
    if output is not None:
        say(f"{output}: {count(len(report.frame), 'row')}", whole=True)


@app.command()
def capacity(config: ConfigPath, horizon: Horizon = None, method: Method = None, as_json: AsJson = False) -> None:
    """List what runs out first, of the features with `exhaustion:` in the job file; keeps nothing."""
    from foreshock_models.errors import ConfigError
    from foreshock_pipelines.forecasting.capacity import capacity as table_of
    from foreshock_pipelines.jobfile import load_job

    wanted = [name for name, query in load_job(config).queries.items() if query.exhaustion]
    if not wanted:
        raise ConfigError(
            f"{config}: no query says what may run out; write for example exhaustion: {{limit: 95%}} to one"
        )
    job, report = _forecast(config, horizon, method, wanted)
    found = table_of(report)
    if as_json:
        rows = found.round(ROUNDED).replace([math.inf], None).to_dict("records")
        show_json([{k: None if v != v else v for k, v in row.items()} for row in rows])
        return
    records: list[Any] = found.to_dict("records")
    cells = [
        (
            row["entity"], row["feature"], *_of_limit(job, row), _hours(row["hours"], row["looked_hours"]),
            _span(row["lower_hours"], row["upper_hours"], row["looked_hours"]),
            f"{row['chance']} within {number(row['within_hours'])} h",
        )
        for row in records
    ]  # fmt: skip
    headers = (
        "entity",
        "feature",
        "now",
        "limit",
        "runs out in",
        f"{share(report.level)} interval",
        "chance of that",
    )
    show_table(headers, cells, styles=["red" if row["alert"] else "" for row in records])
    _show_skipped(report)


def _of_limit(job: Job, row: Mapping[Any, Any]) -> tuple[str, str]:
    """The last sample and the limit, in percent if the job file has the limit so."""
    query = job.queries[row["feature"]]
    if query.exhaustion is None or not query.exhaustion.limit.percent:
        return number(row["now"]), number(row["limit"])
    top = query.valid_range[1] if query.valid_range else None
    return share(row["now"] / (top or 1.0)), str(query.exhaustion.limit)


def _forecast(
    config: Path, horizon: str | None, method: str | None, features: list[str] | None = None
) -> tuple[Job, ForecastReport]:
    """Read the history of a job and forecast it, with progress."""
    settings = settings_for_ray()
    from foreshock.forecasts.service import read_history
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
    tell_partial(windows.partial)
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
    from foreshock.forecasts.service import save_forecast
    from foreshock.settings import load_settings
    from foreshock.store import open_store
    from foreshock.store.scope import Scope, within

    settings = load_settings()
    store = open_store(settings.store)
    try:
        with within(Scope(job.tenant)):
            changes = save_forecast(store, job, report, settings.url)
    finally:
        store.close()
    return [f"{change.event}: {change.alert.summary}" for change in changes]


def _series(report: ForecastReport) -> list[dict[str, Any]]:
    from foreshock.api.routers.forecasts import prediction
    from foreshock.forecasts.service import series_forecasts

    return [prediction(one) for one in series_forecasts(report) if not one.skipped]


def _write(path: Path, frame: pd.DataFrame) -> None:
    with writing(path) as part:
        if path.suffix == ".csv":
            frame.to_csv(part, index=False)
        else:
            frame.to_parquet(part, index=False, compression="zstd")


def _show(report: ForecastReport) -> None:
    """One line a series: now, at the end, and how far the method was off in its backtest."""
    hours = report.horizon / timedelta(hours=1)
    title = f"{report.job}: {number(hours)} h ahead, {share(report.level)} intervals"
    shown = []
    for (entity, feature), rows in report.frame.groupby(["entity", "feature"], sort=True):
        first, last = rows.iloc[0], rows.iloc[-1]
        shown.append(
            (
                str(entity), str(feature), number(first["point"]), number(last["point"]),
                f"{number(last['lower'])} to {number(last['upper'])}", last["method"], share(last["wape"], 1),
                share(last["baseline_wape"], 1),
            )
        )  # fmt: skip
    headers = ("entity", "feature", "next", f"in {number(hours)} h", "interval", "method", "error", "naive")
    show_table(headers, shown, title=title)
    _show_skipped(report)
    say(f"{len(report.methods())} series in {report.seconds:.1f} s")


def _show_skipped(report: ForecastReport) -> None:
    """Why there is no forecast: a line an entity, or a line a series where the reasons of its series differ."""
    reasons: dict[str, dict[str, str]] = {}
    for (entity, feature), why in report.skipped.items():
        reasons.setdefault(entity, {})[feature] = why
    for entity, by_feature in reasons.items():
        if len(set(by_feature.values())) == 1:
            by_feature = {", ".join(by_feature): next(iter(by_feature.values()))}
        for what, why in by_feature.items():
            say((f"no forecast of {what} of {entity}: {why}", "yellow"))


def _span(lower: float, upper: float, looked: float) -> str:
    if not math.isfinite(lower):
        return "–"
    return f"{_hours(lower, looked).removesuffix(' h')} to {_hours(upper, looked)}"


def _hours(value: float, looked: float) -> str:
    """A time to come; what lies beyond the forecast is not a number."""
    return f"{value:.3g} h" if math.isfinite(value) else f"later than {looked:.3g} h"
