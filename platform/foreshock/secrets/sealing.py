"""Envelope encryption: AES-256-GCM under a key of its own, which a key of the ring wraps.

A sealed value is ``version (1) | id of the ring's key (8) | nonce (12) | wrapped key (48) | nonce (12) | text``.
Rotation wraps the small key again and leaves the text as it is. What a value is sealed for (its table, column and
row) is authenticated with it: moved elsewhere, it does not open.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from foreshock.secrets.keyring import KEY_BYTES, Keyring
from foreshock_models.errors import StoreError

__all__ = ["reseal", "seal", "sealing_key", "unseal"]

VERSION = b"\x01"
ID, NONCE, TAG = 8, 12, 16
WRAPPED = NONCE + KEY_BYTES + TAG
HEAD = len(VERSION) + ID + WRAPPED


def seal(ring: Keyring, text: bytes, purpose: str) -> bytes:
    """Seal a text; `purpose` must be the same to open it."""
    key, nonce = AESGCM.generate_key(256), os.urandom(NONCE)
    sealed = nonce + AESGCM(key).encrypt(nonce, text, purpose.encode())
    return _wrapped(ring, key, purpose) + sealed


def unseal(ring: Keyring, sealed: bytes, purpose: str) -> bytes:
    """Return the text.

    Raises
    ------
    StoreError
        It was sealed by a key that is not at hand, for something else, or was changed.
    """
    key = _unwrapped(ring, sealed, purpose)
    return _open(key, sealed[HEAD:], purpose)


def sealing_key(sealed: bytes) -> bytes:
    """Return the id of the ring's key that a value is sealed by."""
    return sealed[1 : 1 + ID]


def reseal(ring: Keyring, sealed: bytes, purpose: str) -> bytes:
    """Return the value sealed by the ring's current key, with its text as it was."""
    if sealing_key(sealed) == ring.current:
        return sealed
    return _wrapped(ring, _unwrapped(ring, sealed, purpose), purpose) + sealed[HEAD:]


def _wrapped(ring: Keyring, key: bytes, purpose: str) -> bytes:
    nonce = os.urandom(NONCE)
    head = VERSION + ring.current
    return head + nonce + AESGCM(ring.keys[ring.current]).encrypt(nonce, key, head + purpose.encode())


def _unwrapped(ring: Keyring, sealed: bytes, purpose: str) -> bytes:
    if sealed[:1] != VERSION or len(sealed) < HEAD + NONCE + TAG:
        raise StoreError(f"{purpose}: this is no sealed value of this version of Foreshock")
    key = ring.keys.get(sealing_key(sealed))
    if key is None:
        raise StoreError(
            f"{purpose}: sealed by a key that is not at hand; put it after the current one in ENCRYPTION_KEY, in "
            "Vault, or in the file encryption-keys under FORESHOCK_HOME, wherever the keys are"
        )
    head = sealed[: 1 + ID]
    return _open(key, sealed[1 + ID : HEAD], purpose, head)


def _open(key: bytes, sealed: bytes, purpose: str, head: bytes = b"") -> bytes:
    try:
        return AESGCM(key).decrypt(sealed[:NONCE], sealed[NONCE:], head + purpose.encode())
    except InvalidTag as exc:
        raise StoreError(f"{purpose}: the sealed value was changed, or is not of this place") from exc
