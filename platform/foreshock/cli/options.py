"""Options that commands share, and what they work on."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from foreshock.identity.model import Principal
    from foreshock.settings import Settings
    from foreshock.store import Store
    from foreshock_pipelines.registry import Registry

__all__ = [
    "AsJson", "By", "ConfigPath", "Limit", "OptionalJob", "Tenant", "Why", "positive_duration", "settings_for_ray",
    "the_registry", "the_store", "the_user", "the_version",
]  # fmt: skip

LONGEST_NAME, LONGEST_WHY = 128, 2000


def _text(most: int) -> Callable[[str], str]:
    """A check of what people write: it is kept, and sent."""

    def check(value: str) -> str:
        if len(value) > most:
            raise typer.BadParameter(f"at most {most} characters are kept, these are {len(value)}")
        if any("\ud800" <= char <= "\udfff" for char in value):
            raise typer.BadParameter("it is not valid UTF-8")
        return value

    return check


ConfigPath = Annotated[Path, typer.Option("--config", "-c", help="Job file (a folder of them for `up`).")]
OptionalJob = Annotated[str | None, typer.Option("--job", help="Of this job only.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Why = Annotated[str, typer.Option("--why", "-m", callback=_text(LONGEST_WHY), help="For its history.")]
By = Annotated[
    str,
    typer.Option(
        "--by", default_factory=getpass.getuser, callback=_text(LONGEST_NAME), help="Who you are.",
        show_default="you",
    ),
]  # fmt: skip


Tenant = Annotated[str, typer.Option(help="Tenant that it is of; see foreshock tenants.")]


def the_store(tenant: str | None = None) -> Store:
    """The store of this installation, in which the user of this machine acts.

    Parameters
    ----------
    tenant
        Must be one that there is.
    """
    from foreshock.audit.acting import act_as
    from foreshock.audit.profiles import profiles_of
    from foreshock.audit.signing import sign_audit
    from foreshock.identity.tenants import Tenants
    from foreshock.runtime.home import open_home
    from foreshock.settings import load_settings
    from foreshock.store import open_store
    from foreshock.store.scope import DEFAULT_TENANT

    settings = load_settings()
    open_home(settings.home)
    act_as(the_user().actor())
    store = sign_audit(open_store(settings.store), settings.home, os.environ.get("ENCRYPTION_KEY"))
    if profiles_of(settings).sox:
        _note_command(store, tenant)
    if tenant not in (None, DEFAULT_TENANT):
        Tenants(store).check(str(tenant))
    return store


def _note_command(store: Store, tenant: str | None) -> None:
    """Write into the audit log which command is run: it sees something, even if it changes nothing."""
    from typer.main import get_current_context  # type: ignore[attr-defined]

    from foreshock.audit import record

    context = get_current_context(silent=True)
    if context is not None:
        with store.begin() as c:
            record(store, c, "commands:run", context.command_path, tenant=tenant)


def the_user(tenant: str = "default") -> Principal:
    """The person who runs the command: a user of this machine who can read the home may do everything."""
    from foreshock.identity.model import everything

    return everything("local", getpass.getuser(), tenant)


def the_registry() -> Registry:
    """The models of this installation."""
    from foreshock.settings import load_settings
    from foreshock_pipelines.registry import Registry

    return Registry(load_settings().registry)


def the_version(registry: Registry, job: str, word: str) -> str:
    """Return the alias or version that `word` is, or the version that alone begins with it; else `word` itself."""
    from foreshock.store.ids import only

    versions = [model.version for model in registry.models(job)] if word else []
    found = [version for version in versions if version.startswith(word)]
    return word if not found or word in found else only(f"the model of {job}", word, found)


def positive_duration(text: str, option: str) -> timedelta:
    """Return a duration that an option gives; a wrong one is wrong usage."""
    from foreshock_pipelines.jobfile import parse_duration

    try:
        length = parse_duration(text)
    except ValueError as exc:
        raise typer.BadParameter(str(exc), param_hint=option) from exc
    if length <= timedelta(0):
        raise typer.BadParameter("must be longer than 0", param_hint=option)
    return length


def settings_for_ray(**overrides: object) -> Settings:
    """Return the settings, once Ray can be started or joined: a command works for a while before it does so."""
    from foreshock.runtime.cluster import check_cluster
    from foreshock.settings import load_settings

    settings = load_settings(**overrides)
    check_cluster(settings)
    return settings
