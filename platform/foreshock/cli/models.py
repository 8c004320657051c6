"""``foreshock models``: list, show, promote and roll back versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from foreshock.cli.app import app
from foreshock.cli.console import say, show_json, show_table
from foreshock.cli.formats import moment
from foreshock.cli.options import AsJson, the_registry, the_store, the_version

if TYPE_CHECKING:
    from foreshock.runs.champions import Champions
    from foreshock_pipelines.registry import Registry

models = typer.Typer(help="Versions of models: list, show, promote, roll back.", no_args_is_help=True)
app.add_typer(models, name="models")

JobName = Annotated[str, typer.Argument(help="Name of a job.")]


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
    model = _champions(registry).promote(job, the_version(registry, job, which))
    say(f"{job}: {model.version} is the champion now; back with: foreshock models rollback {job}")


@models.command()
def rollback(job: JobName) -> None:
    """Make the champion before this one the champion again."""
    say(f"{job}: {_champions(the_registry()).rollback(job).version} is the champion again")


def _champions(registry: Registry) -> Champions:
    from foreshock.runs.champions import Champions

    return Champions(registry, the_store())
