"""``foreshock models | runs``: look at what there is, and change it."""

from __future__ import annotations

from typing import Annotated

import typer

from foreshock.cli.app import app
from foreshock.cli.console import say, show_json, show_table
from foreshock.cli.formats import moment
from foreshock.cli.options import AsJson, Limit, OptionalJob, the_registry, the_store, the_version

models = typer.Typer(help="Versions of models: list, show, promote, roll back.", no_args_is_help=True)
runs = typer.Typer(help="Runs of jobs: list, show, cancel.", no_args_is_help=True)
for group, name in ((models, "models"), (runs, "runs")):
    app.add_typer(group, name=name)

JobName = Annotated[str, typer.Argument(help="Name of a job.")]
RunId = Annotated[str, typer.Argument(help="Id of a run, or its beginning.")]


# -- models ---------------------------------------------------------------------------------------------------
@models.command("list")
def models_list(
    job: Annotated[str | None, typer.Argument(help="Name of a job; default all.")] = None, as_json: AsJson = False
) -> None:
    """Versions, the newest first."""
    registry = the_registry()
    found = [m for name in ([job] if job else registry.jobs()) for m in registry.models(name)]
    if as_json:
        show_json([{"job": m.job, "version": m.version, "aliases": list(m.aliases), **m.manifest} for m in found])
        return
    rows = []
    for m in found:
        span = m.manifest["training"]
        trained = f"{moment(span['start'])} to {moment(span['end'])}"
        rows.append((m.version, m.job, ", ".join(m.aliases), str(span["entities"]), trained, ", ".join(m.members)))
    show_table(("version", "job", "aliases", "entities", "trained on (UTC)", "detectors"), rows)


@models.command("show")
def models_show(
    job: JobName,
    which: Annotated[str, typer.Argument(help="Alias, version, or the beginning of one.")] = "champion",
) -> None:
    """Everything about one version, as JSON."""
    registry = the_registry()
    model = registry.get(job, the_version(registry, job, which))
    show_json({"job": model.job, "version": model.version, "aliases": list(model.aliases), **model.manifest})


@models.command()
def promote(
    job: JobName,
    which: Annotated[str, typer.Argument(help="Alias, version, or the beginning of one.")] = "challenger",
) -> None:
    """Make a version the champion; what runs takes it up by itself."""
    registry = the_registry()
    model = registry.promote(job, the_version(registry, job, which))
    say(f"{job}: {model.version} is the champion now; back with: foreshock models rollback {job}")


@models.command()
def rollback(job: JobName) -> None:
    """Make the champion before this one the champion again."""
    say(f"{job}: {the_registry().rollback(job).version} is the champion again")


# -- runs -----------------------------------------------------------------------------------------------------
@runs.command("list")
def runs_list(job: OptionalJob = None, limit: Limit = 20, as_json: AsJson = False) -> None:
    """Runs, the newest first."""
    from foreshock.runs.repository import RunRepository

    found = RunRepository(the_store()).recent(job=job, limit=limit)
    if as_json:
        show_json([run.as_json() for run in found])
        return
    rows = [(r.id, r.job, r.kind, r.state, moment(r.due), r.cause, r.error or "") for r in found]
    show_table(("id", "job", "kind", "state", "due (UTC)", "cause", "error"), rows)


@runs.command("show")
def runs_show(run: RunId) -> None:
    """State, log and result of a run, as JSON."""
    from foreshock.runs.repository import RunRepository
    from foreshock.store.ids import find_id

    store = the_store()
    show_json(RunRepository(store).get(find_id(store, "run", run)).as_json())


@runs.command("cancel")
def runs_cancel(run: RunId) -> None:
    """Stop a run at its next step; nothing half-done is published."""
    from datetime import UTC, datetime

    from foreshock.runs.repository import RunRepository
    from foreshock.store.ids import find_id

    store = the_store()
    found = find_id(store, "run", run)
    done = RunRepository(store).update(found, state="cancelled", ended=datetime.now(UTC))
    say(f"{found}: {done.state}")
