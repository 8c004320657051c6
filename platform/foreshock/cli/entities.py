"""``foreshock entities``: what is monitored, and what is no more."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.table import Table

from foreshock.cli.alerts import By, Why
from foreshock.cli.app import app
from foreshock.cli.options import AsJson, OptionalJob, console, print_json, the_store

group = typer.Typer(help="Entities of jobs: list, forget.", no_args_is_help=True)
app.add_typer(group, name="entities")


@group.command("list")
def entities_list(job: OptionalJob = None, as_json: AsJson = False) -> None:
    """Entities: when they were seen, and whether they are calm, pending, anomalous or absent."""
    from foreshock.alerts.entities import entities

    found = entities(the_store(), job)
    if as_json:
        print_json(found)
        return
    table = Table("job", "entity", "state", "warming", "first seen", "last seen")
    for e in found:
        table.add_row(
            e["job"], e["entity"], e["state"], "yes" if e["warming"] else "", e["first"], e["seen"] or "never"
        )
    console.print(table)


@group.command("forget")
def entities_forget(
    job: Annotated[str, typer.Argument(help="Name of a job.")],
    entity: Annotated[list[str], typer.Argument(help="Its entities that are decommissioned.")],
    by: By,
    why: Why = "",
) -> None:
    """Miss them no more: what is remembered of them goes, their alerts are resolved."""
    from foreshock.alerts.life import forget
    from foreshock.settings import load_settings

    now, url = round(time.time() * 1000), load_settings().url
    done = forget(the_store(), job, entity, who=by, why=why, now_ms=now, url=url)
    typer.echo(f"forgotten: {', '.join(entity)}; {len(done)} alerts resolved")
