"""``foreshock config``: check job files, print their schema."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foreshock.cli.app import app
from foreshock.cli.console import say, show_json
from foreshock.cli.formats import count

if TYPE_CHECKING:
    from foreshock_pipelines.jobfile import Job
    from foreshock_pipelines.jobs.probe import Answer

group = typer.Typer(help="Check job files; show and change live settings.", no_args_is_help=True)
app.add_typer(group, name="config")


@group.command()
def validate(
    paths: Annotated[list[Path] | None, typer.Argument(help="Job files, or folders of them.")] = None,
    config: Annotated[list[Path] | None, typer.Option("--config", "-c", help="More of them.")] = None,
    online: Annotated[bool, typer.Option("--online", help="Ask the source each query, too.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the jobs, defaults filled in, secrets left out, as JSON.")
    ] = False,
) -> None:
    """Check job files; says every mistake with file, key and what is allowed.

    Notifiers are made, and the files of secrets, certificates and labels must be there. With --online, the source
    must answer, and each query must give one series for each entity; the exit code is 1 if one does not.
    """
    from foreshock.runtime.job_checks import load_and_verify_job
    from foreshock_models.errors import ConfigError, JobError
    from foreshock_pipelines.jobfile import load_files

    given = [*(paths or ()), *(config or ())]
    if not given:
        raise ConfigError("name the job files to check, as in foreshock config validate configs/node.yaml")
    found: list[tuple[Path, Job]] = []
    wrong: list[str] = []
    for path in given:  # each may be of another installation, so names may be used again
        try:
            found += [(file, job) for job, file in load_files(path, load=load_and_verify_job).values()]
        except ConfigError as exc:
            wrong.append(str(exc))
    if wrong:
        raise ConfigError("\n".join(wrong))
    answers = {file: _ask(job) if online else [] for file, job in found}
    if as_json:
        _print_json(found, answers if online else None)
    else:
        _print_lines(found, answers)
    failed = [
        f"{file}: {one.key}: {one.problem}" for file, asked in answers.items() for one in asked if one.problem
    ]
    if failed:
        raise JobError("\n".join(failed))


def _print_lines(found: list[tuple[Path, Job]], answers: dict[Path, list[Answer]]) -> None:
    for file, job in found:
        say(
            f"{file}: ok - job {job.name}: {count(len(job.queries), 'feature')} per {', '.join(job.entity)}, "
            f"detectors {', '.join(job.detector_params)}, {job.budget} false alerts"
        )
        for one in answers[file]:
            if not one.problem:
                say(f"{file}: {one.key}: {count(one.entities, 'entity')} at present")


def _print_json(found: list[tuple[Path, Job]], answers: dict[Path, list[Answer]] | None) -> None:
    from dataclasses import asdict

    jobs = [job.model_dump(mode="json", by_alias=True) for _, job in found]
    if answers is not None:
        for (file, _), job in zip(found, jobs, strict=True):
            job["online"] = [asdict(one) for one in answers[file]]
    show_json(jobs)


def _ask(job: Job) -> list[Answer]:
    from foreshock_pipelines.jobs.probe import probe

    return probe(job)


@group.command()
def schema() -> None:
    """Print the JSON Schema of job files, for completion in an editor."""
    from foreshock_pipelines.jobfile import Job

    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Job.model_json_schema()}
    show_json(document)
