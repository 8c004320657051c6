"""``foreshock fetch | train | score``: jobs that run once, now."""

from __future__ import annotations

import contextlib
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foreshock.cli.app import app
from foreshock.cli.console import say, show_json, show_table, tell, tell_partial
from foreshock.cli.files import make_room, writing
from foreshock.cli.formats import count, moment, share
from foreshock.cli.options import AsJson, ConfigPath, settings_for_ray, the_version
from foreshock.cli.progress import stage_line, steps_bar

if TYPE_CHECKING:
    from foreshock.alerts.findings import Finding
    from foreshock_models.policy import PolicyResult
    from foreshock_pipelines.scoring.scored_rows import ScoredRows
    from foreshock_pipelines.training.report import TrainReport

Start = Annotated[str | None, typer.Option(help="-14d, 2026-03-01, ...; default: the job's history.")]
End = Annotated[str, typer.Option(help="now, -1h, 2026-03-02T12:00:00Z ...")]


@app.command()
def fetch(
    config: ConfigPath,
    output: Annotated[Path, typer.Option("--output", "-o", help="Parquet file to write.")],
    start: Start = None,
    end: End = "now",
    as_json: AsJson = False,
) -> None:
    """Read metric windows and save them as Parquet."""
    from foreshock_pipelines.jobfile import load_job
    from foreshock_pipelines.sources import open_source

    job = load_job(config)
    make_room(output)
    source = open_source(job, partial="refuse")
    source.check()
    first, last = times(job, source, start, end)
    with steps_bar(f"reading {job.name}") as progress:
        windows = source.read(first, last, progress=progress)
    with writing(output) as part:
        windows.write_parquet(part)
    tell_partial(windows.partial)
    entities = windows.entities
    if as_json:
        show_json({"file": str(output), "rows": windows.n_rows, "entities": list(entities)})
        return
    say(f"{output}: {windows!r}")


@app.command()
def train(
    config: ConfigPath,
    start: Start = None,
    end: End = "now",
    detector: Annotated[list[str] | None, typer.Option(help="In place of the job's own; may be repeated.")] = None,
    challenger: Annotated[bool, typer.Option("--challenger", help="Publish beside the champion.")] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that train each network together; default: the job's.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Even if memory would not suffice.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train the detectors of a job and publish them as its champion."""
    settings = settings_for_ray()
    from foreshock.feedback.training_data import exclusions
    from foreshock.runtime.compiling import compiling
    from foreshock.store import open_store
    from foreshock.up import ray_cluster
    from foreshock_models.precompile import compiled_before
    from foreshock_pipelines.jobfile import load_job
    from foreshock_pipelines.jobs.estimate import check_memory, estimate
    from foreshock_pipelines.jobs.train import train as run
    from foreshock_pipelines.promotion.policy import ALWAYS, NEVER
    from foreshock_pipelines.registry import Registry
    from foreshock_pipelines.sources import open_source

    job = load_job(config)
    source = open_source(job)
    source.check()
    first, last = times(job, source, start, end)
    chosen = named(detector)
    if not compiled_before():
        with compiling() as kernels, stage_line("compiling") as note:
            kernels.wait(note.steps)
    if not force:
        check_memory(estimate(job, source, first, last))
    with contextlib.closing(open_store(settings.store)) as store:
        exclude = exclusions(store, job)
    with stage_line("starting Ray") as note, ray_cluster(settings):
        report = run(
            job, Registry(settings.registry), start=first, end=last, exclude=exclude, detectors=chosen,
            promotion=NEVER if challenger else ALWAYS, workers=workers, progress=note, steps=note.steps,
        )  # fmt: skip
    show_json(report.as_dict()) if as_json else show_training(report)


@app.command()
def score(
    config: ConfigPath,
    start: Annotated[str, typer.Option(help="First time to score.")] = "-1h",
    end: End = "now",
    which: Annotated[str, typer.Option("--model", help="Alias, version, or the beginning of one.")] = "champion",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write all scores to a Parquet file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score a stretch of time once, and list what would have alerted; changes nothing.

    Absent is an entity, or a series, that has sent nothing for `absent_after` at the end of the stretch.
    """
    from foreshock.alerts.absence import absences_in
    from foreshock.settings import load_settings
    from foreshock_pipelines.jobfile import load_job
    from foreshock_pipelines.jobs.score import score_pass
    from foreshock_pipelines.registry import Registry
    from foreshock_pipelines.scoring.alert_policy import alert_policy
    from foreshock_pipelines.sources import open_source

    job = load_job(config)
    make_room(output)
    source = open_source(job)
    first, last = times(job, source, start, end)
    registry = Registry(load_settings().registry)
    detector, model = registry.load(job.name, the_version(registry, job.name, which))
    span = (round(first.timestamp() * 1000), round(last.timestamp() * 1000))
    with stage_line(f"scoring with {model.version}"):
        scored = score_pass(detector, model.version, source, job, span)
        result = alert_policy(job).apply(scored.panel, scored.score, scored.permitted)
    absent, not_judged = absences_in(job, scored, result.state, detector.state_.entities, span[0])
    found = [*_openings(scored, result), *({**NO_ANOMALY, **_absence(one)} for one in absent)]
    if output is not None:
        _write_scores(output, scored)
    if as_json:
        show_json(found)
    else:
        rows = [(moment(one["time"]), _score_of(one), one["entity"], _why(one)) for one in found]
        show_table(
            ("opens (UTC)", "score", "entity", "causes"), rows, title=f"{job.name}: {count(len(found), 'alert')}"
        )
    tell_partial(scored.partial)
    if not_judged is not None:
        tell(f"absences are not judged: {not_judged}")


NO_ANOMALY: dict[str, Any] = {"kind": "absent", "score": None, "causes": []}


def _openings(scored: ScoredRows, result: PolicyResult) -> list[dict[str, Any]]:
    """Anomalies that opened, with their first causes."""
    from dataclasses import asdict

    import numpy as np

    from foreshock_models.policy import EntityState

    panel = scored.panel
    found = []
    for i in np.flatnonzero(result.entity_state == EntityState.OPENED).tolist():
        entity, at = panel.entities[panel.codes[i]], int(panel.timestamps[i])
        causes = [asdict(cause) for cause in scored.causes.at(entity, at)[:3]]
        found.append(
            {
                "kind": "anomaly", "entity": entity, "time": _stamp(at), "score": float(scored.score[i]),
                "causes": causes, "summary": None,
            }
        )  # fmt: skip
    return found


def _score_of(one: dict[str, Any]) -> str:
    return "–" if one["score"] is None else f"{one['score']:.2f}"


def _why(one: dict[str, Any]) -> str:
    causes = ", ".join(f"{cause['feature']} {share(cause['share'])}" for cause in one["causes"])
    return one["summary"] or causes


def _absence(one: Finding) -> dict[str, Any]:
    return {"entity": one.entity, "time": _stamp(one.began_ms), "summary": one.summary}


def show_training(report: TrainReport) -> None:
    """A table of what was trained."""
    from foreshock_models.alert_levels import AlertLevel
    from foreshock_models.distrust import Distrusted, describe

    rows = [
        (
            row["detector"], f"{row['seconds']:.1f}", str(row["held_back_alerts"]),
            f"{row['allowed_alerts']:.3g}",
        )
        for row in report.detectors
    ]  # fmt: skip
    headers = ("detector", "seconds", "alerts in held-back rows", "the budget allows")
    show_table(headers, rows, title=f"{report.job} {report.version}")
    say(
        f"{count(report.rows, 'row')} of {count(report.entities, 'entity')} ({', '.join(report.features)}), "
        f"{report.start:%Y-%m-%d %H:%M} to {report.end:%Y-%m-%d %H:%M} UTC; "
        f"now {', '.join(report.aliases) or 'without an alias'}"
    )
    if report.skipped:
        say(f"skipped {count(len(report.skipped), 'entity')} without enough rows: {', '.join(report.skipped)}")
    if report.empty_features:
        say((f"no samples at all for: {', '.join(report.empty_features)}", "yellow"))
    for line in describe([Distrusted(**stretch) for stretch in report.distrusted]):
        say((line, "yellow"))
    for level in report.alert_levels:
        say(str(AlertLevel(**level)))


def times(job: Any, source: Any, start: str | None, end: str) -> tuple[datetime, datetime]:
    """Start and end as the source's clock sees them."""
    from foreshock_models.errors import ConfigError
    from foreshock_pipelines.jobfile.times import parse_time

    now = source.latest()
    last = parse_time(end, now)
    first = parse_time(start, now) if start is not None else last - job.history
    if first >= last:
        raise ConfigError(f"the start {first.isoformat()} is not before the end {last.isoformat()}")
    return first, last


def named(detectors: list[str] | None) -> dict[str, dict[str, Any]] | None:
    """Detectors of the command line, checked before anything is read."""
    from foreshock_models.detectors import check_params

    for name in detectors or ():
        check_params(name, {})
    return {name: {} for name in detectors} if detectors else None


def _stamp(ms: int) -> str:
    from foreshock.clock import iso

    return iso(int(ms))


def _write_scores(path: Path, scored: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from foreshock_pipelines.datasets.columns import TIMESTAMP

    panel = scored.panel
    columns = {
        "timestamp": pa.array(panel.timestamps, pa.int64()).cast(TIMESTAMP),
        "entity": pa.array([panel.entities[i] for i in panel.codes.tolist()]),
        "score": pa.array(scored.score),
        **{f"score_{name}": pa.array(values) for name, values in scored.members.items()},
    }
    with writing(path) as part:
        pq.write_table(pa.table(columns), part)
