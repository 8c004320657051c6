"""References in a job file: ``${NAME}``, ``${NAME:-default}``, ``${file:/path}``, ``${vault:path#key}``, ``$$``.

A name is a variable of the environment. A file holds a secret, as Docker and Kubernetes mount them; so does a path
of Vault. ``$$`` is a ``$``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foreshock_models.errors import ConfigError, VaultError
from foreshock_pipelines.jobfile.location import dotted

__all__ = ["MAX_EXPANDED", "expand", "mentions_secrets", "read_secret", "vault_value"]

# the default ends before the next ${, so that text without a } is not searched again from each place
VARIABLE = re.compile(
    r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-((?:(?!\$\{)[^}])*))?\}|\$\{(file|vault):((?:(?!\$\{)[^}])+)\}"
)
SECRETS = ("${file:", "${vault:")
LARGEST_FILE = 64 << 10
"""Bytes of a file that is referred to: it holds a secret, no data."""
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
        if match[3] is not None:
            read = read_secret if match[3] == "file" else read_vault
            return self._counted(read(match[4], where), f"{match[3]}:{match[4]}", where)
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
        return self._counted(found, variable, where)

    def _counted(self, found: str, variable: str, where: str) -> str:
        self.left -= len(found)
        if self.left < 0:
            raise ConfigError(f"{where}: with ${{{variable}}} the job file has more than {MAX_EXPANDED >> 20} MiB")
        return found


def mentions_secrets(text: str) -> bool:
    """Return whether a text refers to secrets that may change while it does not."""
    return any(sign in text for sign in SECRETS)


def read_vault(reference: str, where: str) -> str:
    """Return the value of ``path#key`` in Vault.

    Raises
    ------
    ConfigError
        Vault is not set up, away, or refuses; or there is no such value.
    """
    try:
        return vault_value(reference)
    except (VaultError, ConfigError) as exc:
        raise ConfigError(f"{where}: ${{vault:{reference}}}: {exc}") from exc


def vault_value(reference: str) -> str:
    """As `read_vault`; what Vault says, or that it says nothing, is a VaultError."""
    from foreshock_pipelines.jobfile.vault import the_vault

    path, sharp, key = reference.partition("#")
    if not sharp or not key:
        raise ConfigError("write path and key, as in ${vault:team/prometheus#token}")
    return the_vault().read(path, key)


def read_secret(name: str, where: str) -> str:
    """Return the text of a file, without the line break at its end.

    Raises
    ------
    ConfigError
        The path is not absolute, or the file cannot be read, is too large, empty, or no UTF-8 text. Nothing of its
        content is quoted.
    """
    path = Path(name).expanduser()
    what = f"{where}: ${{file:{name}}}"
    if not path.is_absolute():
        raise ConfigError(f"{what}: write the whole path, as in ${{file:/run/secrets/token}}")
    try:
        if not path.is_file():
            raise ConfigError(f"{what}: there is no such file")
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
        text = data.decode().rstrip("\r\n")
    except OSError as exc:
        raise ConfigError(f"{what}: cannot be read: {exc.strerror or exc}") from exc
    except UnicodeDecodeError:  # the error itself would quote the secret
        raise ConfigError(f"{what}: is not UTF-8 text") from None
    if len(data) > LARGEST_FILE:
        raise ConfigError(f"{what}: has more than {LARGEST_FILE} bytes")
    if not text:
        raise ConfigError(f"{what}: is empty")
    return text
