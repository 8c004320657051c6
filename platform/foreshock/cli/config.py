"""``foreshock config``: check job files, print their schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from foreshock.cli.app import app

group = typer.Typer(help="Check job files; print their JSON Schema.", no_args_is_help=True)
app.add_typer(group, name="config")


@group.command()
def validate(
    paths: Annotated[list[Path] | None, typer.Argument(help="Job files, or folders of them.")] = None,
    config: Annotated[list[Path] | None, typer.Option("--config", "-c", help="The same.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the jobs, defaults filled in, as JSON.")] = False,
) -> None:
    """Check job files; says every mistake with file, key and what is allowed."""
    from foreshock_models.errors import ConfigError
    from foreshock_pipelines.jobfile import load_jobs

    jobs = {}
    wrong = []
    given = [*(paths or ()), *(config or ())]
    if not given:
        raise ConfigError("name the job files to check, as in foreshock config validate configs/node.yaml")
    for path in given:
        try:
            jobs.update({f"{path}:{name}": job for name, job in load_jobs(path).items()})
        except ConfigError as exc:
            wrong.append(str(exc))
    if wrong:
        raise ConfigError("\n".join(wrong))
    if as_json:
        typer.echo(json.dumps([job.model_dump(mode="json", by_alias=True) for job in jobs.values()], indent=2))
        return
    for where, job in jobs.items():
        file = where.rpartition(":")[0]
        typer.echo(
            f"{file}: ok - job {job.name}: {len(job.queries)} features per {', '.join(job.entity)}, "
            f"detectors {', '.join(job.detector_params)}, {job.budget} false alerts"
        )


@group.command()
def schema() -> None:
    """Print the JSON Schema of job files, for completion in an editor."""
    from foreshock_pipelines.jobfile import Job

    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Job.model_json_schema()}
    typer.echo(json.dumps(document, indent=2))
