"""``foreshock silences``: what is held back, and its end; made by ``foreshock alerts silence``."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.table import Column, Table

from foreshock.cli.alerts import By
from foreshock.cli.app import app
from foreshock.cli.options import AsJson, console, print_json, the_store

silences = typer.Typer(help="Silences: list, end.", no_args_is_help=True)
app.add_typer(silences, name="silences")


@silences.command("list")
def silences_list(
    over: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False, as_json: AsJson = False
) -> None:
    """Silences, in the order of their ends."""
    from foreshock.store.silences import StoredSilences

    now = round(time.time() * 1000)
    found = [s.as_json(now) for s in StoredSilences(the_store()).since(0 if over else now)]
    if as_json:
        print_json(found)
        return
    table = Table(Column("id", no_wrap=True), "state", "matchers", Column("when (UTC)", min_width=21), "why")
    for s in found:
        when = f"from {_minute(s['start'])}\nto {_minute(s['end'])}"
        if s["rule"]:
            when += f"\n{s['rule']} in {s['timezone']}"
        why = f"{s['reason']} ({s['owner']})"
        table.add_row(s["id"], s["state"], "\n".join(s["matchers"]), when, why)
    console.print(table)


def _minute(time: str) -> str:
    return time[:16].replace("T", " ")


@silences.command("end")
def silences_end(silence: Annotated[str, typer.Argument(help="Id of a silence.")], by: By) -> None:
    """Let a silence end now; what it held back and still lasts is sent."""
    from foreshock.store.silences import StoredSilences

    ended = StoredSilences(the_store()).end(silence, round(time.time() * 1000), by)
    typer.echo(f"{ended.id}: ended by {by}")
