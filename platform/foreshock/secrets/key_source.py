"""Sources of the keys that seal: ``ENCRYPTION_KEY``, a file, Vault, or the file in the home folder."""

from __future__ import annotations

import re
from pathlib import Path

from foreshock.secrets.key_file import KeyFile
from foreshock.secrets.keyring import Keyring, parse_keys
from foreshock_models.errors import ConfigError
from foreshock_pipelines.jobfile.variables import read_secret, vault_value

__all__ = ["key_file", "open_keyring", "secret_setting"]

REFERENCE = re.compile(r"\s*(?:\$\{)?(file|vault):([^{}]+)\}?\s*")
TRANSIT = re.compile(r"\s*(?:\$\{)?transit:([A-Za-z0-9_.-]+)\}?\s*")


def open_keyring(home: Path, environment: str | None = None) -> Keyring:
    """Return the keys of this installation.

    Parameters
    ----------
    environment
        ``ENCRYPTION_KEY``: keys in base64; ``file:/path`` or ``vault:path#key``, where such keys are; or
        ``transit:NAME``, the key in Vault that wraps those of the file in the home folder. None: that file
        as it is.

    Raises
    ------
    ConfigError
        They cannot be read or made.
    VaultError
        Vault is away, or refuses.
    """
    file = key_file(home, environment)
    if file is not None:
        return file.read()
    return parse_keys(secret_setting(environment or "", "ENCRYPTION_KEY"), "ENCRYPTION_KEY")


def key_file(home: Path, environment: str | None = None) -> KeyFile | None:
    """Return the file in the home folder, if the keys are there: `rotate` can change no others."""
    if environment is None:
        return KeyFile(home)
    found = TRANSIT.fullmatch(environment)
    return None if found is None else KeyFile(home, found[1])


def secret_setting(text: str, name: str) -> str:
    """Return a setting that is a secret: as it is, or what it refers to by ``file:`` or ``vault:``.

    Raises
    ------
    ConfigError
        It cannot be read; the value is not quoted.
    """
    found = REFERENCE.fullmatch(text)
    if found is None:
        return text
    value = read_secret(found[2], name) if found[1] == "file" else vault_value(found[2])
    if REFERENCE.fullmatch(value):
        raise ConfigError(f"{name}: what it refers to refers to something else; write the secret there")
    return value
