"""``foreshock schedule``: when things run, and the same for Kubernetes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foreshock.cli.app import app
from foreshock.cli.console import show_json, show_table, stream
from foreshock.cli.formats import moment
from foreshock.cli.options import AsJson

if TYPE_CHECKING:
    from foreshock_pipelines.jobfile import Job

schedule = typer.Typer(help="When jobs train, tune and forecast.", no_args_is_help=True)
app.add_typer(schedule, name="schedule")

Paths = Annotated[list[Path], typer.Option("--config", "-c", help="Job files, or folders of them.")]


def _jobs(paths: list[Path]) -> dict[str, Job]:
    from foreshock.cli.up import jobs_of

    return jobs_of(paths)[0]


@schedule.command("list")
def schedule_list(config: Paths, as_json: AsJson = False) -> None:
    """When each run is due next, if nothing runs now."""
    from foreshock.runs.model import KINDS
    from foreshock_pipelines.jobfile.cron import next_due, parse_schedule

    now = datetime.now(UTC)
    rows = [
        {
            "job": job.name,
            "kind": kind,
            "schedule": text,
            "timezone": job.schedule.timezone,
            "next": next_due(parse_schedule(text, job.schedule.timezone), now).isoformat(timespec="seconds"),
        }
        for job in _jobs(config).values()
        for kind in KINDS
        if (text := getattr(job.schedule, kind)) is not None
    ]
    if as_json:
        show_json(rows)
        return
    cells = [(*list(row.values())[:-1], moment(row["next"])) for row in rows]
    show_table(("job", "kind", "schedule", "time zone", "next (UTC)"), cells)


@schedule.command("export")
def schedule_export(
    config: Paths,
    kubernetes: Annotated[bool, typer.Option("--kubernetes", help="As KubeRay RayCronJobs.")] = False,
    image: Annotated[str, typer.Option(help="Container image with Foreshock in it.")] = "foreshock:latest",
    config_map: Annotated[str, typer.Option(help="ConfigMap of the job files (<job>.yaml).")] = "foreshock-jobs",
    cpus: Annotated[int, typer.Option(min=1, help="CPUs of each run.")] = 2,
    memory: Annotated[str, typer.Option(help="Memory of each run.")] = "4Gi",
) -> None:
    """Write the schedules for a cluster where Kubernetes keeps the time; to standard output.

    Example: foreshock schedule export --kubernetes -c node.yaml | kubectl apply -f -
    """
    import yaml

    from foreshock.runs.kuberay import ray_cron_jobs
    from foreshock_models.errors import ConfigError

    if not kubernetes:
        raise ConfigError("say for what: foreshock schedule export --kubernetes")
    manifests = [
        manifest
        for job in _jobs(config).values()
        for manifest in ray_cron_jobs(job, image=image, config_map=config_map, cpus=cpus, memory=memory)
    ]
    if not manifests:
        raise ConfigError("no job schedules a run: set schedule.train, schedule.tune or schedule.forecast")
    stream(yaml.safe_dump_all(manifests, sort_keys=False))
