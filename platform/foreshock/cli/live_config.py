"""``foreshock config show|set|history|diff|rollback``: settings that change while an installation runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from foreshock.cli.config import group
from foreshock.cli.console import say, show_json, show_table
from foreshock.cli.formats import moment
from foreshock.cli.options import AsJson, Limit, Why, the_store

if TYPE_CHECKING:
    from foreshock.configuration import Configuration, Version

Expected = Annotated[
    int | None, typer.Option("--expect", min=0, help="Version that must be in force; default: any.")
]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until all processes have taken it up.")]


@group.command()
def show(as_json: AsJson = False) -> None:
    """Live settings: value, and whether environment, store or default gives it."""
    from foreshock.configuration.model import described

    configuration = _configuration()
    version = configuration.current()
    found = described(version.values, configuration.pinned)
    if as_json:
        show_json(version.as_json() | {"settings": found})
        return
    rows = [(name, _text(one["value"]), one["source"], _text(one["default"])) for name, one in found.items()]
    show_table(("setting", "value", "from", "default"), rows)
    say(
        f"version {version.number}"
        + (f", of {moment(version.at_ms)} UTC by {version.who}" if version.number else "")
    )


@group.command("set")
def set_(
    pairs: Annotated[list[str], typer.Argument(help="NAME=VALUE; NAME= for its default.", metavar="NAME=VALUE...")],
    why: Why = "",
    expect: Expected = None,
    wait: Wait = True,
    as_json: AsJson = False,
) -> None:
    """Change live settings; all processes take them up within seconds, or the settings before stay."""
    from foreshock.configuration.model import check_names

    configuration = _configuration()
    current = configuration.current()
    values = dict(current.values)
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign:
            raise typer.BadParameter(f"{pair!r}: write NAME=VALUE, as in log_level=DEBUG")
        check_names([name])
        values.pop(name, None)
        if value:
            values[name] = value
    expected = current.number if expect is None else expect
    _announce(configuration, configuration.set(values, expected=expected, note=why), wait, as_json)


@group.command()
def history(limit: Limit = 20, as_json: AsJson = False) -> None:
    """Versions of the live settings, the newest first."""
    configuration = _configuration()
    found = configuration.history(limit=limit)
    if as_json:
        show_json([version.as_json() for version in found])
        return
    rows = [
        (
            str(version.number), moment(version.at_ms), version.who,
            f"refused: {version.problem}" if version.problem else version.cause,
            ", ".join(f"{name}={_text(value)}" for name, value in version.values.items()), version.note,
        )
        for version in found
    ]  # fmt: skip
    show_table(("version", "time (UTC)", "who", "cause", "set", "note"), rows)


@group.command()
def diff(
    before: Annotated[int, typer.Argument(min=0, help="The one version.")],
    after: Annotated[int | None, typer.Argument(min=0, help="The other; default: that in force.")] = None,
    as_json: AsJson = False,
) -> None:
    """Differences between two versions, defaults filled in."""
    configuration = _configuration()
    found = configuration.diff(before, configuration.current().number if after is None else after)
    if as_json:
        show_json(found)
        return
    rows = [(name, _text(one["before"]), _text(one["after"])) for name, one in found.items()]
    show_table(("setting", "before", "after"), rows)


@group.command()
def rollback(
    version: Annotated[int, typer.Argument(min=0, help="Version to return to; 0: all defaults.")],
    why: Why = "",
    expect: Expected = None,
    wait: Wait = True,
    as_json: AsJson = False,
) -> None:
    """Return to an older version of the live settings, as a new version."""
    configuration = _configuration()
    _announce(configuration, configuration.rollback(version, expected=expect, note=why), wait, as_json)


def _announce(configuration: Configuration, version: Version, wait: bool, as_json: bool) -> None:
    from foreshock_models.errors import StateError

    refused = configuration.settle(version) if wait else None
    if refused is not None:
        raise StateError(
            f"version {version.number} could not be applied, and the one before is in force: {refused}"
        )
    if as_json:
        show_json(version.as_json())
    else:
        say(f"version {version.number} is in force; back with: foreshock config rollback {version.number - 1}")


def _configuration() -> Configuration:
    """The live settings; before the first start, with what the environment of this command fixes."""
    from foreshock.configuration import Configuration
    from foreshock.settings import load_settings

    store = the_store()
    found = Configuration(store)
    return found if found.noted() is not None else Configuration(store, load_settings().pinned)


def _text(value: Any) -> str:
    return "" if value is None else str(value)
