"""Versions of the live settings, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import ValidationError

from foreshock.settings import LiveSettings, Settings
from foreshock_models.errors import ConfigError, allowed

__all__ = ["NONE", "Version", "changes", "check_names", "checked", "described", "in_force"]


@dataclass(frozen=True)
class Version:
    """Live settings as they were set at one time.

    Attributes
    ----------
    number : from 1; 0 before anything was set
    values : what was set, as JSON values; whatever is not named has its default
    cause : ``set``, ``rollback`` to an older version, or ``refused``: the version before could not be applied
    problem : why this version could not be applied
    """

    number: int
    at_ms: int
    who: str
    note: str
    values: dict[str, Any]
    cause: str = "set"
    problem: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the version as JSON values."""
        value = asdict(self)
        return {"version": value.pop("number"), **value}


NONE = Version(0, 0, "", "", {})
"""Of an installation whose live settings were never changed."""


def checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values in the form that they are kept in.

    Raises
    ------
    ConfigError
        A name is unknown or needs a restart, or a value is not allowed; a line for each.
    """
    check_names(values)
    try:
        found = LiveSettings(**values)
    except ValidationError as exc:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg'].removeprefix('Value error, ')}" for e in exc.errors()]
        raise ConfigError("\n".join(lines)) from exc
    return found.model_dump(mode="json", include=set(values))


def check_names(names: Iterable[str]) -> None:
    """Raise ConfigError, with a line for each, if a name is unknown or needs a restart."""
    live = LiveSettings.model_fields
    wrong = []
    for name in names:
        if name in live:
            continue
        if name in Settings.model_fields:
            wrong.append(f"{name}: takes a restart, with FORESHOCK_{name.upper()}; live: {', '.join(live)}")
        else:
            wrong.append(f"{name[:200]}: no such setting; {allowed(name, live)}")
    if wrong:
        raise ConfigError("\n".join(wrong))


def in_force(values: Mapping[str, Any], pinned: Mapping[str, Any]) -> LiveSettings:
    """Return the settings that hold: the environment's where it has one, then what was set, then the default."""
    return LiveSettings(**_known({**values, **pinned}))


def described(values: Mapping[str, Any], pinned: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return each live setting with its value, its default, and the place that it comes from."""
    now, default = in_force(values, pinned).model_dump(mode="json"), LiveSettings().model_dump(mode="json")
    return {
        name: {
            "value": now[name],
            "source": "environment" if name in pinned else "store" if name in values else "default",
            "default": default[name],
            "description": field.description,
        }
        for name, field in LiveSettings.model_fields.items()
    }


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what differs, name to ``before`` and ``after``, defaults filled in."""
    old, new = (LiveSettings(**_known(values)).model_dump(mode="json") for values in (before, after))
    return {name: {"before": old[name], "after": new[name]} for name in new if old[name] != new[name]}


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what another version of Foreshock has kept."""
    return {name: value for name, value in values.items() if name in LiveSettings.model_fields}
