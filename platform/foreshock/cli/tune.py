"""``foreshock tune``: search better settings for the detectors of a job."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foreshock.cli.app import app
from foreshock.cli.console import live_table, say, show_json, show_table, tell
from foreshock.cli.jobs import End, Start, named, times
from foreshock.cli.options import AsJson, ConfigPath, positive_duration, settings_for_ray

if TYPE_CHECKING:
    from foreshock_pipelines.tuning.report import TuneReport
    from foreshock_pipelines.tuning.search import Trial

SHOWN = 16
"""Trials that the live table shows: the newest."""


@app.command()
def tune(
    config: ConfigPath,
    trials: Annotated[int, typer.Option(min=1, max=10_000, help="Settings to try for each detector.")] = 16,
    time: Annotated[
        str | None, typer.Option(help="Budget of the whole search, as in 10m; default none, but for auto.")
    ] = None,
    detector: Annotated[list[str] | None, typer.Option(help="In place of the job's own; may be repeated.")] = None,
    labels: Annotated[
        Path | None, typer.Option(help="CSV or Parquet of known anomalies: start, end, entity labels.")
    ] = None,
    promote: Annotated[bool, typer.Option("--promote", help="Make it the champion if it wins.")] = False,
    start: Start = None,
    end: End = "now",
    as_json: AsJson = False,
) -> None:
    """Search settings on known or injected anomalies; publish the best as challenger. Goes on where it was left."""
    settings = settings_for_ray()
    from foreshock.feedback.labels import known_anomalies
    from foreshock.feedback.training_data import exclusions
    from foreshock.store import open_store
    from foreshock.up import ray_cluster
    from foreshock_pipelines.jobfile import load_job
    from foreshock_pipelines.jobs.tune import tune as run
    from foreshock_pipelines.promotion.policy import COMPARE_ONLY, IF_BETTER
    from foreshock_pipelines.registry import Registry
    from foreshock_pipelines.sources import open_source

    job = load_job(config)
    budget = positive_duration(time, "--time") if time else job.auto.time if job.auto else None
    chosen = named(detector)
    with contextlib.closing(open_store(settings.store)) as store:
        known, exclude = known_anomalies(store, job, labels), exclusions(store, job, confirmed=False)
    source = open_source(job)
    source.check()
    first, last = times(job, source, start, end)
    with _live_table() as (note, watch), ray_cluster(settings):
        report = run(
            job, Registry(settings.registry), trials=trials, time=budget, detectors=chosen, labels=known,
            strict=bool(labels or job.labels), exclude=exclude, promotion=IF_BETTER if promote else COMPARE_ONLY,
            start=first if start else None,
            end=last, storage=settings.home / "tune", progress=note, on_trial=watch,
        )  # fmt: skip
    show_json(report.as_dict()) if as_json else _show(report)


@contextmanager
def _live_table() -> Iterator[tuple[Callable[[str], None], Callable[[Trial], None]]]:
    """Show trials as they run, on standard error; gives a function for a line, and one for a trial."""
    seen: dict[tuple[str, int], Trial] = {}
    stage = "starting Ray"
    with live_table(stage, ("detector", "trial", "state", "AUC-PR", "seconds", "setting")) as show:

        def note(line: str) -> None:
            nonlocal stage
            stage = line
            tell(f"  {line}")
            show(stage, map(_cells, list(seen.values())[-SHOWN:]))

        def watch(trial: Trial) -> None:
            seen[trial.detector, trial.number] = trial
            show(stage, map(_cells, list(seen.values())[-SHOWN:]))

        yield note, watch


def _cells(trial: Trial) -> list[str]:
    mark = "" if trial.auc_pr is None else f"{trial.auc_pr:.3f}"
    setting = ", ".join(f"{name} {_number(value)}" for name, value in trial.params.items())
    return [trial.detector, str(trial.number), trial.state, mark, f"{trial.seconds:.1f}", setting]


def _show(report: TuneReport) -> None:
    """Print the settings that were found, and what became of them."""
    tuned = report.tuned
    rows = []
    for found in tuned.results:
        before = "–" if found.default_auc_pr is None else f"{found.default_auc_pr:.3f}"
        setting = ", ".join(f"{name}: {_number(value)}" for name, value in found.params.items())
        name = found.detector
        if name not in report.settings:
            name += " (not picked)"
        elif found.tuned and report.settings[name] != found.params:
            name += " (keeps its defaults)"
        rows.append((name, str(len(found.trials)), before, f"{found.auc_pr:.3f}", setting))
    if len(report.settings) > 1:
        rows.append(("together", "", f"{tuned.default_auc_pr:.3f}", f"{tuned.auc_pr:.3f}", ""))
    headers = ("detector", "trials", "defaults", "best", "setting")
    show_table(headers, rows, title=f"{report.job}: AUC-PR on {tuned.basis} anomalies")
    for line in tuned.notes:
        say((line, "yellow"))
    say(f"{report.version} is {', '.join(report.aliases)}; {report.comparison.reason}")
    if not report.promoted and report.comparison.won:
        say(f"it wins; make it the champion with: foreshock models promote {report.job}")


def _number(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
