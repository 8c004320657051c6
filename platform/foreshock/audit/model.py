"""Entries of the audit log, and the bytes that its leaves are of.

A leaf commits to an entry by four salted hashes: of who, of the address, of what else names a person, and of the
rest. A salt and its text may be erased later; the leaf stays, and the log can still be verified.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any

import orjson

from foreshock.audit.merkle import leaf_hash

__all__ = ["Checkpoint", "Entry", "commitment", "leaf_of", "salt"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One act.

    Attributes
    ----------
    seq : its place in the log of its tenant, from 0
    act : ``<noun>:<verb>``, as ``alerts:acknowledge``
    outcome : ``done``, ``refused`` or ``failed``
    data : more of it, JSON values; never a secret
    who, address : None once they were erased
    pseudonym : in place of who
    """

    seq: int
    at_ms: int
    who: str | None
    kind: str
    address: str | None
    act: str
    subject: str
    outcome: str
    data: dict[str, Any]
    pseudonym: str | None = None

    def rest(self) -> bytes:
        """The bytes of all but who and address."""
        return canonical(
            {
                "kind": self.kind,
                "act": self.act,
                "subject": self.subject,
                "outcome": self.outcome,
                "data": self.data,
            }
        )


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The size and root of a log at a time, and its signatures by key id."""

    tenant: str
    size: int
    root: str
    at_ms: int
    signatures: dict[str, str]

    def text(self) -> bytes:
        """The bytes that are signed."""
        return f"foreshock audit log v1\n{self.tenant}\n{self.size}\n{self.root}\n{self.at_ms}\n".encode()


def canonical(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def salt() -> str:
    return secrets.token_hex(16)


def commitment(label: str, with_salt: str, data: bytes) -> str:
    """Hash of a text that cannot be guessed without its salt."""
    return hashlib.sha256(f"{label}\n{with_salt}\n".encode() + data).hexdigest()


def leaf_of(
    tenant: str, seq: int, at_ms: int, who: str, address: str, rest: str, people: str | None = None
) -> bytes:
    """Leaf hash of an entry, by its commitments; without that of people, of an entry of version 1."""
    leaf = {"v": 1, "tenant": tenant, "seq": seq, "at": at_ms, "who": who, "address": address, "rest": rest}
    return leaf_hash(canonical(leaf if people is None else {**leaf, "v": 2, "people": people}))
