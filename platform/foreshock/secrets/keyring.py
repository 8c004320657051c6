"""The keys that seal: the newest seals, older ones still open what they sealed."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass, field

from foreshock_models.errors import ConfigError

__all__ = ["HOW", "KEY_BYTES", "Keyring", "key_id", "parse_key", "parse_keys", "ring_of"]

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
    words = text.replace(",", "\n").split()
    return ring_of([parse_key(word, f"{origin}: key {at}") for at, word in enumerate(words, 1)], origin)


def ring_of(keys: list[bytes], origin: str) -> Keyring:
    """Make a ring of keys, the newest first."""
    if not keys:
        raise ConfigError(f"{origin}: there is no key; {HOW}")
    return Keyring(key_id(keys[0]), {key_id(key): key for key in keys})


def parse_key(word: str, origin: str) -> bytes:
    """Read one key in base64, of either alphabet. Errors: see `parse_keys`."""
    try:
        plain = word.replace("-", "+").replace("_", "/")
        key = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise ConfigError(f"{origin} is not base64; {HOW}") from exc
    if len(key) != KEY_BYTES:
        raise ConfigError(f"{origin} has {len(key)} bytes, not {KEY_BYTES}; {HOW}")
    return key


def key_id(key: bytes) -> bytes:
    """Name of a key, 8 bytes, which tells nothing of it."""
    return hashlib.sha256(b"foreshock key id" + key).digest()[:8]
