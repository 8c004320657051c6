"""``foreshock tokens``: tokens of programs."""

from __future__ import annotations

from typing import Annotated

import typer

from foreshock.cli.app import app
from foreshock.cli.console import say, show_json, show_table
from foreshock.cli.formats import moment
from foreshock.cli.options import AsJson, Tenant, positive_duration, the_store, the_user

tokens = typer.Typer(help="Tokens of programs: list, make, revoke.", no_args_is_help=True)
app.add_typer(tokens, name="tokens")


@tokens.command("list")
def tokens_list(as_json: AsJson = False, tenant: Tenant = "default") -> None:
    """Tokens, without the tokens themselves."""
    from dataclasses import asdict

    from foreshock.identity.tokens import Tokens

    found = [asdict(token) for token in Tokens(the_store(tenant), tenant).all()]
    if as_json:
        show_json(found)
        return
    rows = [
        (
            t["id"], t["name"], ", ".join(t["scopes"]), t["jobs"], t["made_by"], moment(t["expires_ms"]),
            moment(t["used_ms"]) if t["used_ms"] else "", moment(t["revoked_ms"]) if t["revoked_ms"] else "",
        )
        for t in found
    ]  # fmt: skip
    headers = ("id", "name", "scopes", "jobs", "made by", "good until (UTC)", "used (UTC)", "revoked (UTC)")
    show_table(headers, rows)


@tokens.command("make")
def tokens_make(
    name: Annotated[str, typer.Argument(help="The program that it is for.")],
    scope: Annotated[list[str], typer.Option("--scope", "-s", help="A permission, or a role for all of its own.")],
    jobs: Annotated[str, typer.Option(help="Jobs that it is for: a name, with * for any letters.")] = "*",
    lifetime: Annotated[str, typer.Option(help="How long it is good for, at most 366d.")] = "90d",
    tenant: Tenant = "default",
) -> None:
    """Make a token, and print it, once."""
    from foreshock.identity.tokens import Tokens

    length = positive_duration(lifetime, "--lifetime")
    made, token = Tokens(the_store(tenant), tenant).make(
        name, scope, by=the_user(tenant), jobs=jobs, lifetime=length
    )
    say(f"{made.id}: good until {moment(made.expires_ms)} UTC. The token, shown once:")
    say(f"  {token}", whole=True)


@tokens.command("revoke")
def tokens_revoke(
    token: Annotated[str, typer.Argument(help="Id of a token, or its beginning.")], tenant: Tenant = "default"
) -> None:
    """Let a token be good no more, within seconds."""
    from foreshock.identity.tokens import Tokens

    say(f"{Tokens(the_store(tenant), tenant).revoke(token).id}: revoked")
