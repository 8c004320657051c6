"""The file of keys in the home folder: in base64, or wrapped by a key of Vault's transit engine."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from foreshock.secrets.keyring import KEY_BYTES, Keyring, parse_key, ring_of
from foreshock_models.errors import ConfigError

__all__ = ["FILE", "KeyFile"]

FILE = "encryption-keys"
"""File in the home folder, mode 0600: one key a line, the newest first."""
WRAPPED = "vault:"
"""Beginning of a key that transit wrapped."""


class KeyFile:
    """The keys of an installation, made on first use.

    Parameters
    ----------
    transit
        Name of the key in Vault that wraps them; None: they are in the file as they are.
    """

    def __init__(self, home: Path, transit: str | None = None) -> None:
        self.path = home / FILE
        self.transit = transit

    def read(self) -> Keyring:
        """Return the keys; those that are not wrapped yet, and must be, are wrapped now.

        Raises
        ------
        ConfigError
            The file cannot be read or made.
        VaultError
            Vault is away, or refuses.
        """
        with self._explained():
            if not self.path.exists():
                with self._locked():
                    if not self.path.exists():
                        self._write([secrets.token_bytes(KEY_BYTES)])
            words = self.path.read_text("ascii", errors="replace").split()
        if self.transit is not None and not all(word.startswith(WRAPPED) for word in words):
            with self._explained(), self._locked():
                self._write(self._keys())
        return ring_of(self._keys(), str(self.path))

    def rotate(self) -> Keyring:
        """Put a new key before the others; all are wrapped again, by the newest version of the key in Vault."""
        self.read()
        with self._explained(), self._locked():
            self._write([secrets.token_bytes(KEY_BYTES), *self._keys()])
        return self.read()

    def keep(self, current: bytes) -> Keyring:
        """Keep one key alone, once nothing is sealed by others."""
        with self._explained(), self._locked():
            ring = ring_of(self._keys(), str(self.path))
            self._write([ring.keys[current]])
        return self.read()

    def _keys(self) -> list[bytes]:
        words = self.path.read_text("ascii", errors="replace").split()
        return [self._opened(word, f"{self.path}: key {at}") for at, word in enumerate(words, 1)]

    def _opened(self, word: str, origin: str) -> bytes:
        if not word.startswith(WRAPPED):
            return parse_key(word, origin)
        if self.transit is None:
            raise ConfigError(f"{origin} is wrapped by Vault; set ENCRYPTION_KEY=transit:NAME, as when it was made")
        from foreshock_pipelines.jobfile.vault import the_vault

        key = the_vault().unwrap(self.transit, word)
        return parse_key(base64.b64encode(key).decode(), origin)

    def _write(self, keys: list[bytes]) -> None:
        """The file appears with all its content, or not at all."""
        words = [base64.b64encode(key).decode() for key in keys]
        if self.transit is not None:
            from foreshock_pipelines.jobfile.vault import the_vault

            words = [the_vault().wrap(self.transit, key) for key in keys]
        part = self.path.with_name(f"{self.path.name}.{secrets.token_hex(4)}")
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write("".join(f"{word}\n" for word in words))
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, self.path)
        finally:
            part.unlink(missing_ok=True)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # what is sealed by a key must not outlive the key
        finally:
            os.close(folder)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time makes or changes the file."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self.path.with_name(f".{FILE}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise ConfigError(
                f"{self.path}: the encryption keys cannot be kept there: {exc.strerror or exc}; mend that, or set "
                "ENCRYPTION_KEY"
            ) from exc
