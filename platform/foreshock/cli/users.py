"""``foreshock users | login``: people, their roles, and how they sign in."""

from __future__ import annotations

from typing import Annotated

import typer

from foreshock.cli.app import app
from foreshock.cli.console import say, show_json, show_table
from foreshock.cli.formats import moment
from foreshock.cli.options import AsJson, Tenant, the_store

users = typer.Typer(help="People: list, add, roles, disable, reset.", no_args_is_help=True)
app.add_typer(users, name="users")

Name = Annotated[str, typer.Argument(help="Name of the person.")]
Role = Annotated[str, typer.Option(help="viewer, operator, editor or admin.")]
Jobs = Annotated[str, typer.Option(help="Jobs that it is for: a name, with * for any letters.")]


@users.command("list")
def users_list(as_json: AsJson = False, tenant: Tenant = "default") -> None:
    """People, with their roles."""
    from foreshock.identity.people import People

    found = People(the_store(tenant), tenant).all()
    if as_json:
        show_json(
            [
                {
                    "name": p.name, "roles": [{"role": g.role, "jobs": g.jobs} for g in p.grants],
                    "second_factor": p.second_factor, "must_change_password": p.must_change,
                    "created_ms": p.created_ms, "disabled_ms": p.disabled_ms,
                }
                for p in found
            ]
        )  # fmt: skip
        return
    rows = [
        (
            p.name, ", ".join(f"{g.role} for {g.jobs}" for g in p.grants), "yes" if p.second_factor else "",
            moment(p.created_ms), moment(p.disabled_ms) if p.disabled_ms else "",
        )
        for p in found
    ]  # fmt: skip
    show_table(("name", "roles", "second factor", "since (UTC)", "disabled (UTC)"), rows)


@users.command("add")
def users_add(name: Name, role: Role = "viewer", jobs: Jobs = "*", tenant: Tenant = "default") -> None:
    """Add a person; prints a password for the first login, once."""
    from foreshock.identity.people import People

    person, password = People(the_store(tenant), tenant).add(name, role, jobs)
    say(f"{person.name}: {role} for {jobs}. Password, shown once, to be changed at the first login:")
    say(f"  {password}", whole=True)


@users.command("roles")
def users_roles(
    name: Name,
    grants: Annotated[list[str], typer.Argument(help="Roles, each as ROLE or ROLE:JOBS, as in editor:web-*.")],
    tenant: Tenant = "default",
) -> None:
    """Give a person these roles, and no others."""
    from foreshock.identity.model import RoleGrant
    from foreshock.identity.people import People

    wanted = [RoleGrant(word.partition(":")[0], word.partition(":")[2] or "*") for word in grants]
    person = People(the_store(tenant), tenant).set_roles(name, wanted)
    say(f"{person.name}: {', '.join(f'{g.role} for {g.jobs}' for g in person.grants)}")


@users.command("disable")
def users_disable(name: Name, tenant: Tenant = "default") -> None:
    """Let a person sign in no more; what they are signed in with ends within seconds."""
    from foreshock.identity.people import People

    say(f"{People(the_store(tenant), tenant).disable(name).name}: disabled")


@users.command("enable")
def users_enable(name: Name, tenant: Tenant = "default") -> None:
    """Let a person who was disabled sign in again."""
    from foreshock.identity.people import People

    say(f"{People(the_store(tenant), tenant).enable(name).name}: enabled")


@users.command("reset")
def users_reset(
    name: Name,
    second_factor: Annotated[
        bool, typer.Option("--second-factor", help="Take the second factor away, too.")
    ] = False,
    tenant: Tenant = "default",
) -> None:
    """Give a person another password, printed once; their sessions end."""
    from foreshock.identity.people import People

    password = People(the_store(tenant), tenant).reset(name, second_factor=second_factor)
    say("password, shown once, to be changed at the next login:")
    say(f"  {password}", whole=True)


@app.command()
def login(
    name: Annotated[str, typer.Option("--name", "-n", prompt=True, help="Name of the person.")],
    url: Annotated[str | None, typer.Option(help="URL of the HTTP API; default: of this installation.")] = None,
    as_json: AsJson = False,
) -> None:
    """Sign in at the HTTP API, and print an access token; the password is asked for.

    Example: curl -H "Authorization: Bearer $(foreshock login -n anna)" localhost:8700/ai/jobs
    """
    import getpass

    from foreshock.cli.signing_in import sign_in

    def ask(what: str) -> str:
        return getpass.getpass(f"{what}: ")

    found = sign_in(url, name, ask)
    if as_json:
        show_json(found)
    else:
        say(str(found["access_token"]), whole=True)
