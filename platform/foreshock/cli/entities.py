"""``foreshock entities``: what is monitored, and what is no more."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from foreshock.cli.app import app
from foreshock.cli.console import say, show_json, show_table
from foreshock.cli.formats import count, moment
from foreshock.cli.options import AsJson, By, OptionalJob, Why, the_store

group = typer.Typer(help="Entities of jobs: list, forget.", no_args_is_help=True)
app.add_typer(group, name="entities")


@group.command("list")
def entities_list(job: OptionalJob = None, as_json: AsJson = False) -> None:
    """Entities: when they were seen, and whether they are calm, pending, anomalous or absent."""
    from foreshock.entities.service import entities

    found = entities(the_store(), job)
    if as_json:
        show_json(found)
        return
    rows = [
        (
            e["job"], e["entity"], e["state"], "yes" if e["warming"] else "", moment(e["first"]),
            moment(e["seen"]) if e["seen"] else "never",
        )
        for e in found
    ]  # fmt: skip
    show_table(("job", "entity", "state", "warming", "first (UTC)", "last (UTC)"), rows)


@group.command("forget")
def entities_forget(
    job: Annotated[str, typer.Argument(help="Name of a job.")],
    entity: Annotated[list[str], typer.Argument(help="Its entities that are decommissioned.")],
    by: By,
    why: Why = "",
) -> None:
    """Miss them no more: what is remembered of them goes, their alerts are resolved."""
    from foreshock.entities.service import forget
    from foreshock.settings import load_settings

    now, url = round(time.time() * 1000), load_settings().url
    done = forget(the_store(), job, entity, who=by, why=why, now_ms=now, url=url)
    say(f"forgotten: {', '.join(entity)}; {count(len(done), 'alert')} resolved")
