"""Sealing of what is kept for years: hybrid public-key encryption (HPKE, RFC 9180) of X25519 and ML-KEM-768.

Whoever seals needs the public half of the recipient's key alone; the private half may be kept where no server
reaches it. Both X25519 and ML-KEM-768 must be broken to open a file without it.

A file is a first line, the id of the file (16 bytes), and pieces of at most `PIECE` bytes, each behind its length
and sealed by one use of HPKE. The ``info`` of a piece names the file, its place, and if it is the last: a piece
that was moved, repeated, removed or taken from another file does not open.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)  # fmt: skip

from foreshock_models.errors import ConfigError, DataError

__all__ = ["make_key", "open_sealed", "read_private", "read_public", "seal_to"]

SUITE = Suite(KEM.MLKEM768_X25519, KDF.SHAKE256, AEAD.AES_256_GCM)
FIRST = b"foreshock sealed v1\n"
PUBLIC, PRIVATE = "foreshock-recipient-v1:", "foreshock-private-v1:"
PIECE = 1 << 20
OVERHEAD = 1120 + 16
"""Bytes of the encapsulated key and of the tag of a piece."""
SEED, X25519 = 64, 32
PUBLIC_BYTES = 1184


def make_key(path: Path) -> str:
    """Write a new private key into a file of mode 0600; gives the public half, as `read_public` takes it.

    Raises
    ------
    ConfigError
        There is such a file, or it cannot be written.
    """
    mlkem, x25519 = MLKEM768PrivateKey.generate(), X25519PrivateKey.generate()
    word = PRIVATE + base64.b64encode(mlkem.private_bytes_raw() + x25519.private_bytes_raw()).decode()
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{word}\n")
    except OSError as exc:
        raise ConfigError(f"{path}: the private key cannot be written: {exc.strerror or exc}") from exc
    raw = mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()
    return PUBLIC + base64.b64encode(raw).decode()


def read_public(path: Path) -> MLKEM768X25519PublicKey:
    """Read the public half of a recipient's key."""
    raw = _decoded(path, PUBLIC, PUBLIC_BYTES + X25519)
    try:
        return MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(raw[:PUBLIC_BYTES]),
            X25519PublicKey.from_public_bytes(raw[PUBLIC_BYTES:]),
        )
    except ValueError as exc:
        raise ConfigError(f"{path}: this is no public key of a recipient: {exc}") from exc


def read_private(path: Path) -> MLKEM768X25519PrivateKey:
    """Read a private key."""
    raw = _decoded(path, PRIVATE, SEED + X25519)
    return MLKEM768X25519PrivateKey(
        MLKEM768PrivateKey.from_seed_bytes(raw[:SEED]), X25519PrivateKey.from_private_bytes(raw[SEED:])
    )


def seal_to(key: MLKEM768X25519PublicKey, source: BinaryIO, target: BinaryIO) -> None:
    """Seal a stream for the holder of the private key."""
    ident = secrets.token_bytes(16)
    target.write(FIRST + ident)
    piece, at = source.read(PIECE), 0
    while True:
        after = source.read(PIECE) if len(piece) == PIECE else b""
        sealed = SUITE.encrypt(piece, key, info=_info(ident, at, last=not after))
        target.write(struct.pack(">I", len(sealed)) + sealed)
        if not after:
            return
        piece, at = after, at + 1


def open_sealed(key: MLKEM768X25519PrivateKey, source: BinaryIO) -> Iterator[bytes]:
    """Yield what was sealed, piece by piece; the whole is right only once the last one came without an error.

    Raises
    ------
    DataError
        It is no sealed file, was sealed for another key, was changed, or ends too early.
    """
    if source.read(len(FIRST)) != FIRST:
        raise DataError("this is no file that Foreshock sealed")
    ident = source.read(16)
    head, at = source.read(4), 0
    while True:
        length = struct.unpack(">I", head)[0] if len(head) == 4 else 0
        if not OVERHEAD <= length <= PIECE + OVERHEAD:
            raise DataError("the sealed file was changed, or its end is missing")
        sealed = source.read(length)
        head = source.read(4)
        try:
            yield SUITE.decrypt(sealed, key, info=_info(ident, at, last=not head))
        except (InvalidTag, ValueError) as exc:
            raise DataError(
                "the sealed file does not open: it is for another key, was changed, or its end is missing"
            ) from exc
        if not head:
            return
        at += 1


def _info(ident: bytes, at: int, *, last: bool) -> bytes:
    return b"foreshock archive v1" + ident + struct.pack(">Q?", at, last)


def _decoded(path: Path, prefix: str, size: int) -> bytes:
    try:
        text = path.read_text("ascii", errors="replace").strip()
        raw = base64.b64decode(text.removeprefix(prefix), validate=True) if text.startswith(prefix) else b""
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read: {exc.strerror or exc}") from exc
    except (binascii.Error, ValueError):  # its text is the key
        raw = b""
    if len(raw) != size:
        kind = "public" if prefix == PUBLIC else "private"
        raise ConfigError(f"{path}: this is no {kind} key of foreshock keys recipient")
    return raw
