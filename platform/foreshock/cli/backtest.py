"""``foreshock backtest``: the alerts that would have fired."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from foreshock.cli.app import app
from foreshock.cli.jobs import named, times
from foreshock.cli.options import (
    AsJson,
    ConfigPath,
    console,
    positive_duration,
    print_json,
    settings_for_ray,
    stage_line,
)

if TYPE_CHECKING:
    from foreshock_pipelines.jobs.backtest import BacktestReport


@app.command()
def backtest(
    config: ConfigPath,
    start: Annotated[str, typer.Option(help="First time to replay; before it, the job's history is learnt from.")],
    end: Annotated[str, typer.Option(help="Last time to replay.")] = "now",
    refit: Annotated[str | None, typer.Option(help="Fit anew after so long, as in 1d; default once.")] = None,
    labels: Annotated[
        Path | None, typer.Option(help="CSV or Parquet of known anomalies: start, end, entity labels.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(help="A job file whose budget and alert policy are replayed beside the present.")
    ] = None,
    detector: Annotated[list[str] | None, typer.Option(help="In place of the job's own; may be repeated.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write one page with the timelines.")] = None,
    as_json: AsJson = False,
) -> None:
    """Replay the past without looking ahead: which alerts would have fired, under this policy and another one."""
    settings = settings_for_ray()
    from foreshock.up import ray_cluster
    from foreshock_pipelines.datasets.labels import read_labels
    from foreshock_pipelines.jobfile import load_job
    from foreshock_pipelines.jobs.backtest import backtest as run
    from foreshock_pipelines.reports.backtest import render
    from foreshock_pipelines.sources import open_source

    job = load_job(config)
    chosen = named(detector)
    proposed = load_job(policy) if policy else None
    file = labels or job.labels
    known = read_labels(file, job.entity) if file else None
    every = positive_duration(refit, "--refit") if refit else None
    source = open_source(job)
    source.check()
    first, last = times(job, source, start, end)
    with stage_line("starting Ray") as note, ray_cluster(settings):
        report = run(
            job, first, last, refit=every, proposed=proposed, labels=known, detectors=chosen, progress=note
        )
    if html is not None:
        html.write_text(render(report), encoding="utf-8")
    print_json(report.as_dict()) if as_json else _show(report)
    if html is not None and not as_json:
        console.print(f"timelines: {html}", highlight=False, soft_wrap=True)


def _show(report: BacktestReport) -> None:
    """Each policy, and its alerts."""
    span = f"{report.start:%Y-%m-%d %H:%M} to {report.end:%Y-%m-%d %H:%M} UTC"
    title = f"{report.job}: {span}, {report.entities} entities"
    table = Table("policy", "for", "budget", "alerts", "per entity and week", title=title)
    if report.labelled:
        for name in ("precision", "recall", "median delay"):
            table.add_column(name)
    for p in report.policies:
        judged = [_share(p.precision), _share(p.recall), "–" if p.delay is None else str(p.delay)]
        cells = [p.name, p.votes, p.budget, str(len(p.alerts)), f"{p.per_entity_week:.2f}"]
        table.add_row(*cells, *(judged if report.labelled else []))
    console.print(table)
    for p in report.policies:
        alerts = Table("opened", "resolved", "entity", "score", "causes", title=f"alerts, {p.name}")
        for a in p.alerts[:50]:
            causes = ", ".join(f"{c.feature} {c.share:.0%}" for c in a.causes[:3])
            resolved = f"{a.resolved:%m-%d %H:%M}" if a.resolved else "open"
            alerts.add_row(f"{a.opened:%m-%d %H:%M}", resolved, a.entity, f"{a.score:.2f}", causes)
        console.print(alerts)
        if len(p.alerts) > 50:
            console.print(f"{len(p.alerts) - 50} more: --json or --html show all", highlight=False)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"
