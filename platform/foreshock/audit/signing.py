"""Signatures of checkpoints: Ed25519 and ML-DSA-65, so that either alone may fall."""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import sqlalchemy as sa
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey
from sqlalchemy.engine import Connection

from foreshock.audit.model import Checkpoint
from foreshock.audit.witness import Witness
from foreshock.secrets import Keyring, open_keyring, seal, unseal
from foreshock.secrets.resealing import hold_keys
from foreshock.store import team_tables as t
from foreshock.store.store import Store

__all__ = ["ALGORITHMS", "Signer", "key_id", "rotate_keys", "sign_audit", "signed_by"]

PURPOSE = "audit"
ALGORITHMS = ("ed25519", "ml-dsa-65")
LOCK = 7_351_002


@dataclass(frozen=True)
class _Key:
    id: str
    algorithm: str
    public: bytes
    private: Ed25519PrivateKey | MLDSA65PrivateKey


class Signer:
    """Signs checkpoints in the transaction of an entry; its keys are in the store, sealed, and made on first use.

    Parameters
    ----------
    witness
        Keeps the public keys outside of the store: whoever can write there could else sign a log of their own.
    """

    def __init__(self, store: Store, ring: Callable[[], Keyring], witness: Witness) -> None:
        self._store, self._ring = store, ring
        self.witness = witness
        self._keys: list[_Key] = []
        self._unseen = threading.local()

    def __call__(self, c: Connection, unsigned: Checkpoint) -> Checkpoint:
        text = unsigned.text()
        signatures = {key.id: base64.b64encode(key.private.sign(text)).decode() for key in self._current(c)}
        self._unseen.checkpoint = unsigned
        return replace(unsigned, signatures=signatures)

    def committed(self) -> None:
        """Let the witness see the log that this thread has just committed, if it has."""
        made: Checkpoint | None = getattr(self._unseen, "checkpoint", None)
        self._unseen.checkpoint = None
        if made is not None:
            self.witness.saw(made.tenant, made.size, made.root)

    def _current(self, c: Connection) -> list[_Key]:
        hold_keys(self._store, c)
        k = t.signing_keys.c
        query = sa.select(t.signing_keys).where(k.purpose == PURPOSE, k.retired_ms.is_(None)).order_by(k.algorithm)
        found = list(c.execute(query).mappings())
        if {row["algorithm"] for row in found} != set(ALGORITHMS):
            return self._made(c)
        if [row["id"] for row in found] != [key.id for key in self._keys]:
            ring = self._ring()
            self._keys = [_opened(ring, row) for row in found]
            self.witness.trust({key.id: (key.algorithm, key.public) for key in self._keys}, first_only=True)
        return self._keys

    def _made(self, c: Connection) -> list[_Key]:
        ring, keys = self._ring(), [_new_key(algorithm) for algorithm in ALGORITHMS]
        for key in keys:
            values = {"id": key.id, "purpose": PURPOSE, "algorithm": key.algorithm, "public": key.public}
            sealed = seal(ring, _private_bytes(key), _purpose(key.id))
            now_ms = round(time.time() * 1000)
            c.execute(sa.insert(t.signing_keys).values(**values, private=sealed, created_ms=now_ms))
        self.witness.trust({key.id: (key.algorithm, key.public) for key in keys})
        self._keys = keys
        return keys


def sign_audit(store: Store, home: Path, encryption_key: str | None = None) -> Store:
    """Let a store sign checkpoints of its audit log; gives the store."""
    store.signer = Signer(store, lambda: open_keyring(home, encryption_key), Witness(home))
    return store


def rotate_keys(store: Store, c: Connection) -> None:
    """Retire the keys that sign; the next entry makes new ones. Their public halves stay, to verify by."""
    k = t.signing_keys.c
    change = sa.update(t.signing_keys).where(k.purpose == PURPOSE, k.retired_ms.is_(None))
    c.execute(change.values(retired_ms=round(time.time() * 1000), private=None))


def signed_by(checkpoint: Checkpoint, keys: dict[str, tuple[str, bytes]]) -> set[str]:
    """Return the algorithms of the trusted keys whose signature of it is right."""
    right = set()
    for kid, signature in checkpoint.signatures.items():
        if kid not in keys:
            continue
        algorithm, public = keys[kid]
        kind = Ed25519PublicKey if algorithm == "ed25519" else MLDSA65PublicKey
        try:
            kind.from_public_bytes(public).verify(base64.b64decode(signature), checkpoint.text())
        except (InvalidSignature, ValueError):
            continue
        right.add(algorithm)
    return right


def key_id(public: bytes) -> str:
    """Name of a key: the beginning of the SHA-256 of its public half."""
    return hashlib.sha256(public).hexdigest()[:16]


def _new_key(algorithm: str) -> _Key:
    private = Ed25519PrivateKey.generate() if algorithm == "ed25519" else MLDSA65PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    return _Key(key_id(public), algorithm, public, private)


def _private_bytes(key: _Key) -> bytes:
    return key.private.private_bytes_raw()


def _purpose(kid: str) -> str:
    return f"signing_keys.private {kid}"


def _opened(ring: Keyring, row: sa.RowMapping) -> _Key:
    raw = unseal(ring, row["private"], _purpose(row["id"]))
    private: Ed25519PrivateKey | MLDSA65PrivateKey
    if row["algorithm"] == "ed25519":
        private = Ed25519PrivateKey.from_private_bytes(raw)
    else:
        private = MLDSA65PrivateKey.from_seed_bytes(raw)
    return _Key(row["id"], row["algorithm"], row["public"], private)
