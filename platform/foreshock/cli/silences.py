"""``foreshock silences``: what is held back, and its end; made by ``foreshock alerts silence``."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from foreshock.cli.app import app
from foreshock.cli.console import say, show_json, show_table
from foreshock.cli.formats import moment
from foreshock.cli.options import AsJson, By, the_store

silences = typer.Typer(help="Silences: list, end.", no_args_is_help=True)
app.add_typer(silences, name="silences")


@silences.command("list")
def silences_list(
    over: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False, as_json: AsJson = False
) -> None:
    """Silences, in the order of their ends."""
    from foreshock.silences.repository import SilenceRepository

    now = round(time.time() * 1000)
    found = [s.as_json(now) for s in SilenceRepository(the_store()).unexpired(0 if over else now)]
    if as_json:
        show_json(found)
        return
    rows = [
        (
            s["id"], s["state"], moment(s["start"]), moment(s["end"]), s["owner"], ", ".join(s["matchers"]),
            f"{s['rule']} in {s['timezone']}" if s["rule"] else "", s["reason"],
            s["problem"] if s["problem"] and s["state"] != "expired" else "",
        )
        for s in found
    ]  # fmt: skip
    headers = ("id", "state", "from (UTC)", "to (UTC)", "owner", "matchers", "rule", "reason", "problem")
    show_table(headers, rows, styles=["red" if row[-1] else "" for row in rows])


@silences.command("end")
def silences_end(
    silence: Annotated[str, typer.Argument(help="Id of a silence, or its beginning.")], by: By
) -> None:
    """Let a silence end now; what it held back and still lasts is sent."""
    from foreshock.silences.repository import SilenceRepository
    from foreshock.store.ids import find_id

    store = the_store()
    found = find_id(store, "silence", silence)
    ended = SilenceRepository(store).expire(found, round(time.time() * 1000), by)
    say(f"{ended.id}: ended by {by}")
