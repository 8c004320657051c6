"""Variables of the environment in a job file: ``${NAME}``, ``${NAME:-default}``, and ``$$`` for a ``$``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from foreshock_models.errors import ConfigError
from foreshock_pipelines.jobfile.location import dotted

__all__ = ["MAX_EXPANDED", "expand"]

# the default ends before the next ${, so that text without a } is not searched again from each place
VARIABLE = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-((?:(?!\$\{)[^}])*))?\}")
MAX_EXPANDED = 8 << 20
"""Characters of all values together, once variables are replaced."""


def expand(value: Any, env: Mapping[str, str], name: str = "job") -> Any:
    """Replace variables in every string of a parsed file; ``$$`` becomes ``$``, and any other ``$`` stays.

    >>> expand({"url": "${URL:-http://localhost:9090}", "query": "label_replace(up, 'a', '$1 $${b}')"}, {})
    {'url': 'http://localhost:9090', 'query': "label_replace(up, 'a', '$1 ${b}')"}

    Raises
    ------
    ConfigError
        A variable that is not set and has no default, or that is not text; names the key.
    """
    return _Expansion(env, name).of(value, ())


class _Expansion:
    def __init__(self, env: Mapping[str, str], name: str) -> None:
        self.env = env
        self.name = name
        self.left = MAX_EXPANDED

    def of(self, value: Any, path: tuple[str, ...]) -> Any:
        if isinstance(value, dict):
            return {key: self.of(item, (*path, str(key))) for key, item in value.items()}
        if isinstance(value, list):
            return [self.of(item, (*path, str(i))) for i, item in enumerate(value)]
        if not isinstance(value, str):
            return value
        where = f"{self.name}: {dotted(path) or 'the job'}"
        return VARIABLE.sub(lambda match: self._one(match, where), value)

    def _one(self, match: re.Match[str], where: str) -> str:
        if match[0] == "$$":
            return "$"
        variable = match[1]
        default = None if match[2] is None else match[2].replace("$$", "$")
        found = self.env.get(variable) or default
        if found is None:
            raise ConfigError(
                f"{where}: ${{{variable}}} is not set; set it, write ${{{variable}:-default}}, "
                f"or $${{{variable}}} for the text itself"
            )
        if not found.isascii() and any("\ud800" <= char <= "\udfff" for char in found):
            raise ConfigError(f"{where}: ${{{variable}}} is not UTF-8 text")
        self.left -= len(found)
        if self.left < 0:
            raise ConfigError(f"{where}: with ${{{variable}}} the job file has more than {MAX_EXPANDED >> 20} MiB")
        return found
