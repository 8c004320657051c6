"""``foreshock models | runs``: look at what there is, and change it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from foreshock.cli.app import app
from foreshock.cli.options import AsJson, Limit, OptionalJob, console, print_json, the_registry, the_store

models = typer.Typer(help="Versions of models: list, show, promote, roll back.", no_args_is_help=True)
runs = typer.Typer(help="Runs of jobs: list, show, cancel.", no_args_is_help=True)
for group, name in ((models, "models"), (runs, "runs")):
    app.add_typer(group, name=name)

JobName = Annotated[str, typer.Argument(help="Name of a job.")]


# -- models ---------------------------------------------------------------------------------------------------
@models.command("list")
def models_list(
    job: Annotated[str | None, typer.Argument(help="Name of a job; default all.")] = None, as_json: AsJson = False
) -> None:
    """Versions, the newest first."""
    registry = the_registry()
    found = [m for name in ([job] if job else registry.jobs()) for m in registry.models(name)]
    if as_json:
        print_json([{"job": m.job, "version": m.version, "aliases": list(m.aliases), **m.manifest} for m in found])
        return
    table = Table("job", "version", "aliases", "detectors", "trained on", "entities")
    for m in found:
        span = m.manifest["training"]
        table.add_row(
            m.job, m.version, ", ".join(m.aliases), ", ".join(m.members),
            f"{span['start'][:16]} to {span['end'][:16]}", str(span["entities"]),
        )  # fmt: skip
    console.print(table)


@models.command("show")
def models_show(job: JobName, which: Annotated[str, typer.Argument(help="Version or alias.")] = "champion") -> None:
    """Everything about one version, as JSON."""
    model = the_registry().get(job, which)
    print_json({"job": model.job, "version": model.version, "aliases": list(model.aliases), **model.manifest})


@models.command()
def promote(job: JobName, which: Annotated[str, typer.Argument(help="Version or alias.")] = "challenger") -> None:
    """Make a version the champion; what runs takes it up by itself."""
    model = the_registry().promote(job, which)
    typer.echo(f"{job}: {model.version} is the champion now; back with: foreshock models rollback {job}")


@models.command()
def rollback(job: JobName) -> None:
    """Make the champion before this one the champion again."""
    typer.echo(f"{job}: {the_registry().rollback(job).version} is the champion again")


# -- runs -----------------------------------------------------------------------------------------------------
@runs.command("list")
def runs_list(job: OptionalJob = None, limit: Limit = 20, as_json: AsJson = False) -> None:
    """Runs, the newest first."""
    from foreshock.serving.ingress import run_json
    from foreshock.store.runs import StoredRuns

    found = StoredRuns(the_store()).recent(job=job, limit=limit)
    if as_json:
        print_json([run_json(run) for run in found])
        return
    table = Table("id", "job", "kind", "state", "due", "cause", "error")
    for run in found:
        table.add_row(
            run.id, run.job, run.kind, run.state, f"{run.due:%Y-%m-%d %H:%M:%S}", run.cause, run.error or ""
        )
    console.print(table)


@runs.command("show")
def runs_show(run: Annotated[str, typer.Argument(help="Id of a run.")]) -> None:
    """State, log and result of a run, as JSON."""
    from foreshock.serving.ingress import run_json
    from foreshock.store.runs import StoredRuns

    print_json(run_json(StoredRuns(the_store()).get(run)))


@runs.command("cancel")
def runs_cancel(run: Annotated[str, typer.Argument(help="Id of a run.")]) -> None:
    """Stop a run at its next step; nothing half-done is published."""
    from datetime import UTC, datetime

    from foreshock.store.runs import StoredRuns

    done = StoredRuns(the_store()).update(run, state="cancelled", ended=datetime.now(UTC))
    typer.echo(f"{run}: {done.state}")
