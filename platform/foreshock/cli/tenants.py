"""``foreshock tenants``: teams that share an installation and see nothing of each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foreshock.cli.app import app
from foreshock.cli.console import say, show_json, show_table
from foreshock.cli.formats import count, moment
from foreshock.cli.options import AsJson, the_registry, the_store

tenants = typer.Typer(help="Tenants: list, create, export, delete.", no_args_is_help=True)
app.add_typer(tenants, name="tenants")

Name = Annotated[str, typer.Argument(help="Name of the tenant.")]


@tenants.command("list")
def tenants_list(as_json: AsJson = False) -> None:
    """Tenants of this installation."""
    from foreshock.identity.tenants import Tenants

    found = Tenants(the_store()).all()
    if as_json:
        show_json(found)
        return
    rows = [(f["name"], str(f["people"]), moment(f["created_ms"]) if f["created_ms"] else "") for f in found]
    show_table(("name", "people", "since (UTC)"), rows)


@tenants.command("create")
def tenants_create(
    name: Name,
    administrator: Annotated[str, typer.Option("--admin", help="Name of its first administrator.")],
) -> None:
    """Make a tenant, and print the password of its administrator, once; its jobs say tenant: NAME."""
    from foreshock.identity.tenants import Tenants

    password = Tenants(the_store()).create(name, administrator)
    say(f"{name}: {administrator} administers it. Password, shown once, to be changed at the first login:")
    say(f"  {password}", whole=True)


@tenants.command("export")
def tenants_export(
    name: Name, output: Annotated[Path, typer.Option("--output", "-o", help="File, one JSON object a line.")]
) -> None:
    """Write every row of a tenant, without secrets."""
    import orjson

    from foreshock.cli.files import make_room, writing
    from foreshock.identity.tenants import Tenants

    make_room(output)
    rows = 0
    with writing(output) as part, part.open("wb") as file:
        for line in Tenants(the_store()).export(name):
            file.write(orjson.dumps(line, default=str) + b"\n")
            rows += 1
    say(f"{output}: {count(rows, 'row')}")


@tenants.command("delete")
def tenants_delete(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="It cannot be undone: say that you mean it.")] = False,
) -> None:
    """Delete a tenant with all its rows, people, tokens and audit log, and the models of its jobs."""
    from foreshock.audit.witness import Witness
    from foreshock.identity.tenants import Tenants
    from foreshock.settings import load_settings
    from foreshock_models.errors import ConfigError

    if not yes:
        raise ConfigError(f"all of the tenant {name!r} would be deleted for ever; say --yes if you mean it")
    all_tenants = Tenants(the_store())
    jobs = {line["row"]["job"] for line in all_tenants.export(name) if "job" in line["row"]}
    gone = all_tenants.delete(name, Witness(load_settings().home))
    registry = the_registry()
    models = [job for job in registry.jobs() if job in jobs]
    for job in models:
        registry.remove(job)
    say(f"{name}: {sum(gone.values())} rows and the models of {len(models)} jobs are deleted")
