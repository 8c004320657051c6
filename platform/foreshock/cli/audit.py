"""``foreshock audit``: who did what, and proof that nothing of it was changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foreshock.cli.app import app
from foreshock.cli.console import say, show_json, show_table, stream
from foreshock.cli.formats import moment
from foreshock.cli.options import AsJson, Limit, Tenant, positive_duration, the_store

audit = typer.Typer(help="The audit log: list, export, verify, prove, erase.", no_args_is_help=True)
app.add_typer(audit, name="audit")


@audit.command("list")
def audit_list(
    act: Annotated[str | None, typer.Option(help="Only these acts: alerts, or alerts:acknowledge.")] = None,
    who: Annotated[str | None, typer.Option(help="Only what this person or program did.")] = None,
    limit: Limit = 50,
    tenant: Tenant = "default",
    as_json: AsJson = False,
) -> None:
    """Entries, the newest first."""
    from dataclasses import asdict

    from foreshock.audit.repository import AuditRepository

    store = the_store(tenant)
    with store.read() as c:
        found = AuditRepository(store, tenant).find(c, act=act, who=who, limit=limit)
    if as_json:
        show_json([asdict(entry) for entry in found])
        return
    rows = [
        (
            str(e.seq), moment(e.at_ms), e.who or e.pseudonym or "(erased)", e.kind, e.address or "", e.act,
            e.subject, e.outcome, ", ".join(f"{name} {value}" for name, value in e.data.items()),
        )
        for e in found
    ]  # fmt: skip
    show_table(("entry", "at (UTC)", "who", "kind", "address", "act", "subject", "outcome", "more"), rows)


@audit.command("verify")
def audit_verify(tenant: Tenant = "default", as_json: AsJson = False) -> None:
    """Compute the whole log again, and compare it with its signed checkpoints and with what was seen before."""
    from dataclasses import asdict

    from foreshock.audit.service import verify
    from foreshock.audit.witness import Witness
    from foreshock.settings import load_settings
    from foreshock_models.errors import StoreError

    found = verify(the_store(tenant), Witness(load_settings().home), tenant)
    if as_json:
        show_json(asdict(found))
    elif not found.problems:
        say(f"{found.size} entries, none changed or removed; root {found.root}, signed up to {found.signed}")
    if found.problems:
        raise StoreError("the audit log is not as it was:\n" + "\n".join(found.problems))


@audit.command("export")
def audit_export(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File; default standard output.")] = None,
    seal: Annotated[
        Path | None,
        typer.Option(help="Seal it for the holder of this public key; foreshock keys open opens it."),
    ] = None,
    tenant: Tenant = "default",
) -> None:
    """Write all entries, checkpoints and public keys, one JSON object a line: enough to verify them elsewhere."""
    import io

    import orjson

    from foreshock.audit.service import export
    from foreshock.audit.witness import Witness
    from foreshock.cli.files import make_room, writing
    from foreshock.secrets.archive import read_public, seal_to
    from foreshock.settings import load_settings

    make_room(output)
    if seal is not None and output is None:
        raise typer.BadParameter("a sealed export is no text; name a file", param_hint="--output")
    key = None if seal is None else read_public(seal)
    lines = b"".join(
        orjson.dumps(line) + b"\n" for line in export(the_store(tenant), Witness(load_settings().home), tenant)
    )
    if output is None:
        stream(lines.decode())
    else:
        with writing(output) as part, part.open("wb") as file:
            if key is None:
                file.write(lines)
            else:
                seal_to(key, io.BytesIO(lines), file)
        say(f"{output}: written")


@audit.command("prove")
def audit_prove(
    entry: Annotated[int, typer.Argument(min=0, help="Number of the entry.")], tenant: Tenant = "default"
) -> None:
    """Print one entry, and the hashes that lead from it to a signed checkpoint, as JSON."""
    from foreshock.audit.service import prove

    show_json(prove(the_store(tenant), entry, tenant))


@audit.command("erase")
def audit_erase(
    older: Annotated[str, typer.Option(help="Of entries older than this, as in 90d.")],
    pseudonyms: Annotated[bool, typer.Option("--pseudonyms", help="Put a pseudonym in the place of each.")] = False,
    tenant: Tenant = "default",
) -> None:
    """Erase people and addresses; what was done stays, and can be verified."""
    import os
    import time

    from foreshock.audit.profiles import profiles_of
    from foreshock.audit.service import erase_people
    from foreshock.secrets import open_keyring
    from foreshock.settings import load_settings

    settings = load_settings()
    before = round((time.time() - positive_duration(older, "--older").total_seconds()) * 1000)
    ring = open_keyring(settings.home, os.environ.get("ENCRYPTION_KEY")) if pseudonyms else None
    done = erase_people(the_store(tenant), before, tenant, profiles=profiles_of(settings), ring=ring)
    say(f"{done} entries name nobody any more")


@audit.command("forget")
def audit_forget(tenant: Tenant = "default") -> None:
    """Destroy the key of pseudonyms: no name leads to one of them any more."""
    from foreshock.audit.service import forget_pseudonyms

    gone = forget_pseudonyms(the_store(tenant), tenant)
    say("the key is destroyed" if gone else "there is no key of pseudonyms")
