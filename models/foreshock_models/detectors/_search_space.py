"""Search spaces: the parameters of a detector that may be tuned, as plain data that any search can read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

__all__ = ["Choice", "Float", "Int", "Range", "Space", "around"]


@dataclass(frozen=True, slots=True)
class Float:
    """A number from `low` to `high`, both included; `log` searches its magnitude."""

    low: float
    high: float
    default: float
    log: bool = False


@dataclass(frozen=True, slots=True)
class Int:
    """An integer from `low` to `high`, both included; `log` searches its magnitude."""

    low: int
    high: int
    default: int
    log: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several values."""

    options: tuple[Any, ...]
    default: Any


Range = Float | Int | Choice
Space = Mapping[str, Range]
"""Parameter to its range."""


def around(space: Space, params: Mapping[str, Any]) -> dict[str, Range]:
    """Return the space with `params` as defaults; a range is widened to include its new default.

    >>> around({"window": Int(8, 32, 16)}, {"window": 48})["window"]
    Int(low=8, high=48, default=48, log=False)
    """
    found = dict(space)
    for name, value in params.items():
        here = found.get(name)
        if here is None or value is None:
            continue
        if isinstance(here, Choice):
            options = here.options if value in here.options else (*here.options, value)
            found[name] = Choice(options, value)
        else:
            found[name] = replace(here, low=min(here.low, value), high=max(here.high, value), default=value)
    return found
