"""``foreshock models | alerts | runs``: look at what there is, and change it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from foreshock.cli.app import app
from foreshock.cli.options import AsJson, console, print_json

if TYPE_CHECKING:
    from foreshock.store import Store
    from foreshock_pipelines.registry import Registry

models = typer.Typer(help="Versions of models: list, show, promote, roll back.", no_args_is_help=True)
alerts = typer.Typer(help="Alerts: list and show them.", no_args_is_help=True)
runs = typer.Typer(help="Runs of jobs: list, show, cancel.", no_args_is_help=True)
for group, name in ((models, "models"), (alerts, "alerts"), (runs, "runs")):
    app.add_typer(group, name=name)

JobName = Annotated[str, typer.Argument(help="Name of a job.")]
OptionalJob = Annotated[str | None, typer.Option("--job", help="Of this job only.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")]


def _registry() -> Registry:
    from foreshock.settings import load_settings
    from foreshock_pipelines.registry import Registry

    return Registry(load_settings().registry)


def _store() -> Store:
    from foreshock.settings import load_settings
    from foreshock.store import open_store

    return open_store(load_settings().store)


# -- models ---------------------------------------------------------------------------------------------------
@models.command("list")
def models_list(
    job: Annotated[str | None, typer.Argument(help="Name of a job; default all.")] = None, as_json: AsJson = False
) -> None:
    """Versions, the newest first."""
    registry = _registry()
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
    model = _registry().get(job, which)
    print_json({"job": model.job, "version": model.version, "aliases": list(model.aliases), **model.manifest})


@models.command()
def promote(job: JobName, which: Annotated[str, typer.Argument(help="Version or alias.")] = "challenger") -> None:
    """Make a version the champion; what runs takes it up by itself."""
    model = _registry().promote(job, which)
    typer.echo(f"{job}: {model.version} is the champion now; back with: foreshock models rollback {job}")


@models.command()
def rollback(job: JobName) -> None:
    """Make the champion before this one the champion again."""
    typer.echo(f"{job}: {_registry().rollback(job).version} is the champion again")


# -- alerts ---------------------------------------------------------------------------------------------------
@alerts.command("list")
def alerts_list(
    job: OptionalJob = None,
    entity: Annotated[str | None, typer.Option(help="Of this entity only.")] = None,
    state: Annotated[str | None, typer.Option(help="open, acknowledged, resolved, or live.")] = None,
    limit: Limit = 50,
    before: Annotated[int | None, typer.Option(help="The next page, as the page before named it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Alerts, the newest first."""
    from foreshock.alerts.payload import alert_payload, iso
    from foreshock.settings import load_settings

    page = _store().alerts(job=job, entity=entity, state=state, before=before, limit=limit)
    if as_json:
        url = load_settings().url
        print_json({"alerts": [alert_payload(a, a.state, url) for a in page.alerts], "next": page.next})
        return
    table = Table("id", "opened", "state", "severity", "summary")
    for a in page.alerts:
        table.add_row(a.id, iso(a.opened_ms), a.state, a.severity, a.summary)
    console.print(table)
    if page.next is not None:
        console.print(f"more: --before {page.next}", highlight=False)


@alerts.command("show")
def alerts_show(alert: Annotated[str, typer.Argument(help="Id of an alert.")], as_json: AsJson = False) -> None:
    """One alert with its causes and history."""
    from foreshock.alerts.payload import alert_payload, iso
    from foreshock.settings import load_settings

    store = _store()
    found = store.alert(alert)
    lines = store.history(alert)
    if as_json:
        print_json({**alert_payload(found, found.state, load_settings().url), "history": lines})
        return
    console.print(f"[bold]{found.summary}[/bold]", highlight=False)
    console.print(
        f"{found.kind}, {found.state}, {found.severity}; peak score {found.peak:.2f}; model {found.version}"
    )
    causes = Table("feature", "share", "observed", "usual", "band")
    for c in found.causes:
        band = f"{_number(c['lower'])} to {_number(c['upper'])}"
        causes.add_row(c["feature"], f"{c['share']:.0%}", _number(c["observed"]), _number(c["expected"]), band)
    console.print(causes)
    for line in lines:
        console.print(f"{iso(line['at_ms'])}  {line['event']} by {line['who']}: {line['why']}", highlight=False)


# -- runs -----------------------------------------------------------------------------------------------------
@runs.command("list")
def runs_list(job: OptionalJob = None, limit: Limit = 20, as_json: AsJson = False) -> None:
    """Runs, the newest first."""
    from foreshock.serving.ingress import run_json
    from foreshock.store.runs import StoredRuns

    found = StoredRuns(_store()).recent(job=job, limit=limit)
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

    print_json(run_json(StoredRuns(_store()).get(run)))


@runs.command("cancel")
def runs_cancel(run: Annotated[str, typer.Argument(help="Id of a run.")]) -> None:
    """Stop a run at its next step; nothing half-done is published."""
    from datetime import UTC, datetime

    from foreshock.store.runs import StoredRuns

    done = StoredRuns(_store()).update(run, state="cancelled", ended=datetime.now(UTC))
    typer.echo(f"{run}: {done.state}")


def _number(value: Any) -> str:
    return "–" if value is None else f"{value:.4g}"
