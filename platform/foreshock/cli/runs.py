"""``foreshock runs``: list, show and cancel runs of jobs."""

from __future__ import annotations

from typing import Annotated

import typer

from foreshock.cli.app import app
from foreshock.cli.console import say, show_json, show_table
from foreshock.cli.formats import moment
from foreshock.cli.options import AsJson, Limit, OptionalJob, the_store

runs = typer.Typer(help="Runs of jobs: list, show, cancel.", no_args_is_help=True)
app.add_typer(runs, name="runs")

RunId = Annotated[str, typer.Argument(help="Id of a run, or its beginning.")]


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
