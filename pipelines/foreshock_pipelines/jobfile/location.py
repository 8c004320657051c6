"""The place of a mistake in a job file: its line and key, never the value, which may be a secret."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

__all__ = ["dotted", "place"]

KEY = re.compile(r"""([ \t-]*)(["']?)([A-Za-z_][A-Za-z0-9_.:/-]{0,62}?)\2[ \t]*:(?:[ \t\r]|$)""")


def place(text: str, line: int) -> str:
    """Return ``line 7, source.prometheus`` for a line of a text, counted from 0.

    The key is found by indentation, so that it is there for text that is not YAML, too.
    """
    keys: list[str] = []
    depth: int | None = None
    for row in reversed(text.split("\n")[: line + 1]):
        if not row.strip():
            continue
        found = KEY.match(row)
        # an item of a list may stand at the same indentation as its key
        indent = len(found[1]) if found else len(row) - len(row.lstrip()) + row.lstrip().startswith("-")
        if depth is not None and indent >= depth:
            continue
        if found:
            keys.insert(0, found[3])
        depth = indent
        if indent == 0:
            break
    return f"line {line + 1}" + (f", {'.'.join(keys)}" if keys else "")


def dotted(loc: Iterable[Any]) -> str:
    """A path of keys, on one line."""
    return ".".join(part if part.isprintable() else repr(part) for part in map(str, loc))
