"""``foreshock backtest``: the alerts that would have fired."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foreshock.cli.app import app
from foreshock.cli.console import say, show_json, show_table
from foreshock.cli.files import make_room, writing
from foreshock.cli.formats import count, moment, share
from foreshock.cli.jobs import named, times
from foreshock.cli.options import AsJson, ConfigPath, positive_duration, settings_for_ray
from foreshock.cli.progress import stage_line

if TYPE_CHECKING:
    from foreshock.incidents.replay import Replay
    from foreshock_pipelines.backtesting.report import BacktestReport

SHOWN = 50
"""Alerts, and incidents, of a policy that are listed."""


@app.command()
def backtest(
    config: ConfigPath,
    start: Annotated[str, typer.Option(help="First time to replay; before it, the job's history is learnt from.")],
    end: Annotated[str, typer.Option(help="Last time to replay.")] = "now",
    refit: Annotated[str | None, typer.Option(help="Fit again after so long, as in 1d; default once.")] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="CSV or Parquet of known anomalies: start, end, entity labels, and incident if known."),
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(help="A job file whose budget and alert policy are replayed beside the present.")
    ] = None,
    detector: Annotated[list[str] | None, typer.Option(help="In place of the job's own; may be repeated.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write one page with the timelines.")] = None,
    as_json: AsJson = False,
) -> None:
    """Replay the past without looking ahead: the alerts and incidents of this policy, and of another one."""
    settings = settings_for_ray()
    from foreshock.incidents.replay import replay_incidents
    from foreshock.up import ray_cluster
    from foreshock_pipelines.backtesting.page import render
    from foreshock_pipelines.datasets.labels import read_incidents, read_labels
    from foreshock_pipelines.jobfile import load_job
    from foreshock_pipelines.jobs.backtest import backtest as run
    from foreshock_pipelines.sources import open_source

    job = load_job(config)
    chosen = named(detector)
    proposed = load_job(policy) if policy else None
    file = labels or job.labels
    known = read_labels(file, job.entity) if file else None
    belonging = read_incidents(file, job.entity) if file else None
    every = positive_duration(refit, "--refit") if refit else None
    make_room(html)
    source = open_source(job)
    source.check()
    first, last = times(job, source, start, end)
    with stage_line("starting Ray") as note, ray_cluster(settings):
        report = run(
            job, first, last, refit=every, proposed=proposed, labels=known, detectors=chosen, progress=note
        )
    if html is not None:
        with writing(html) as part:
            part.write_text(render(report), encoding="utf-8")
    incidents = {p.name: replay_incidents(job, p.alerts, belonging) for p in report.policies}
    if as_json:
        found = report.as_dict()
        show_json(
            {**found, "policies": [{**p, "incidents": incidents[p["name"]].as_dict()} for p in found["policies"]]}
        )
    else:
        _show(report, incidents)
    if html is not None and not as_json:
        say(f"timelines: {html}", whole=True)


def _show(report: BacktestReport, incidents: Mapping[str, Replay]) -> None:
    """Each policy, its incidents, and its alerts."""
    span = f"{report.start:%Y-%m-%d %H:%M} to {report.end:%Y-%m-%d %H:%M} UTC"
    headers = ["policy", "for", "budget", "alerts", "per entity and week", "incidents", "pages saved"]
    rows = [
        [
            p.name, p.votes, p.budget, str(len(p.alerts)), f"{p.per_entity_week:.2f}",
            str(len(incidents[p.name].incidents)), share(incidents[p.name].pages_saved),
        ]
        for p in report.policies
    ]  # fmt: skip
    if report.labelled:
        headers += ["precision", "recall", "median delay"]
        for row, p in zip(rows, report.policies, strict=True):
            row += [share(p.precision), share(p.recall), "–" if p.delay is None else str(p.delay)]
    if any(each.agreement is not None for each in incidents.values()):
        headers += ["pairwise F1"]
        for row, p in zip(rows, report.policies, strict=True):
            agreed = incidents[p.name].agreement
            row.append("–" if agreed is None else f"{agreed.f1:.3f}")
    show_table(headers, rows, title=f"{report.job}: {span}, {count(report.entities, 'entity')}")
    for p in report.policies:
        _show_incidents(p.name, incidents[p.name])
        alerts = [
            (
                moment(a.opened), moment(a.resolved) if a.resolved else "open", f"{a.score:.2f}", a.entity,
                ", ".join(f"{c.feature} {share(c.share)}" for c in a.causes[:3]),
            )
            for a in p.alerts[:SHOWN]
        ]  # fmt: skip
        say()
        show_table(
            ("opened (UTC)", "resolved (UTC)", "score", "entity", "causes"), alerts, title=f"alerts, {p.name}"
        )
        if len(p.alerts) > SHOWN:
            say(f"{len(p.alerts) - SHOWN} more: --json or --html show all")


def _show_incidents(name: str, replay: Replay) -> None:
    rows = [
        (moment(i.opened), str(len(i.alerts)), i.nodes[0], ", ".join(i.nodes[1:6]), ", ".join(i.causes), i.why[-1])
        for i in replay.incidents[:SHOWN]
    ]
    say()
    headers = ("opened (UTC)", "alerts", "first", "then", "causes", "why the last one joined")
    show_table(headers, rows, title=f"incidents, {name}")
    if len(replay.incidents) > SHOWN:
        say(f"{len(replay.incidents) - SHOWN} more: --json shows all")
