"""The keys that seal: the newest seals, older ones still open what they sealed."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from foreshock_models.errors import ConfigError

__all__ = ["FILE", "KEY_BYTES", "Keyring", "drop_old_keys", "open_keyring", "parse_keys", "rotate_file"]

FILE = "encryption-keys"
"""File in the home folder, mode 0600: one key a line, the newest first."""
KEY_BYTES = 32
HOW = "give 32 random bytes in base64, as: openssl rand -base64 32; several, the newest first, with commas between"


@dataclass(frozen=True)
class Keyring:
    """Keys of AES-256-GCM by their id.

    Attributes
    ----------
    current : id of the key that seals
    """

    current: bytes
    keys: dict[bytes, bytes] = field(repr=False)


def parse_keys(text: str, origin: str) -> Keyring:
    """Read keys in base64, the newest first, with commas or line breaks between them.

    Raises
    ------
    ConfigError
        One is no key, or there is none; its value is not quoted.
    """
    keys: dict[bytes, bytes] = {}
    for at, word in enumerate(text.replace(",", "\n").split(), 1):
        try:
            plain = word.replace("-", "+").replace("_", "/")
            key = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
        except (binascii.Error, ValueError) as exc:
            raise ConfigError(f"{origin}: key {at} is not base64; {HOW}") from exc
        if len(key) != KEY_BYTES:
            raise ConfigError(f"{origin}: key {at} has {len(key)} bytes, not {KEY_BYTES}; {HOW}")
        keys[key_id(key)] = key
    if not keys:
        raise ConfigError(f"{origin}: there is no key; {HOW}")
    return Keyring(next(iter(keys)), keys)


def key_id(key: bytes) -> bytes:
    """Name of a key, 8 bytes, which tells nothing of it."""
    return hashlib.sha256(b"foreshock key id" + key).digest()[:8]


def open_keyring(home: Path, environment: str | None = None) -> Keyring:
    """Return the keys of this installation: from ``ENCRYPTION_KEY``, else from a file made on first use.

    Raises
    ------
    ConfigError
        They cannot be read or made.
    """
    if environment is not None:
        return parse_keys(environment, "ENCRYPTION_KEY")
    path = home / FILE
    with _explained(path):
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):  # another process was first
                _write(path, [_new_key()], replace=False)
        return parse_keys(path.read_text("ascii", errors="replace"), str(path))


def rotate_file(home: Path) -> Keyring:
    """Put a new key before those of the file."""
    ring = open_keyring(home)
    words = [base64.b64encode(key).decode() for key in ring.keys.values()]
    path = home / FILE
    with _explained(path):
        _write(path, [_new_key(), *words], replace=True)
    return open_keyring(home)


def drop_old_keys(home: Path) -> Keyring:
    """Keep the newest key of the file alone, once nothing is sealed by others."""
    path = home / FILE
    with _explained(path):
        _write(path, path.read_text("ascii").split()[:1], replace=True)
    return open_keyring(home)


def _new_key() -> str:
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def _write(path: Path, words: list[str], *, replace: bool) -> None:
    """The file appears with all its content, or not at all."""
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("".join(f"{word}\n" for word in words))
        file.flush()
        os.fsync(file.fileno())
    try:
        if replace:
            os.replace(part, path)
        else:
            os.link(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise ConfigError(
            f"{path}: the encryption keys cannot be kept there: {exc.strerror or exc}; mend that, or set "
            "ENCRYPTION_KEY"
        ) from exc
