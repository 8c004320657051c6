"""Personal data in entries: set apart, committed to by a hash of their own, and replaced by pseudonyms in time."""

from __future__ import annotations

import hmac
import os
import time
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from foreshock.secrets import Keyring, seal, unseal
from foreshock.secrets.resealing import hold_keys
from foreshock.store import team_tables as t
from foreshock.store.store import Store

__all__ = ["forget_key", "merged", "pseudonym", "pseudonym_key", "set_apart"]

NOUNS = ("users",)
"""Acts on these have a person as their subject."""
ACTS = ("auth:password", "auth:second-factor")
NAMES = ("who", "owner", "person", "by", "email", "acknowledged_by")
"""Data of these names name a person."""
PURPOSE = "pseudonyms"


def set_apart(act: str, subject: str, data: dict[str, Any]) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return subject and data without what names a person, and that."""
    people: dict[str, Any] = {name: data[name] for name in NAMES if name in data}
    rest = {name: value for name, value in data.items() if name not in people}
    apart: dict[str, Any] = {"data": people} if people else {}
    if act.partition(":")[0] in NOUNS or act in ACTS:
        apart["subject"], subject = subject, ""
    return subject, rest, apart


def merged(subject: str, data: dict[str, Any], people: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return subject and data as they were given."""
    return people.get("subject", subject), {**data, **people.get("data", {})}


def pseudonym(key: bytes, who: str) -> str:
    """Name that stands for a person: the same each time, and of nobody without the key."""
    return f"p-{hmac.digest(key, who.encode(), 'sha256').hex()[:16]}"


def pseudonym_key(store: Store, c: Connection, ring: Keyring, tenant: str) -> bytes:
    """Return the key of a tenant's pseudonyms, sealed in the store, and made on first use."""
    hold_keys(store, c)
    k = t.signing_keys.c
    query = sa.select(k.id, k.private).where(k.purpose == PURPOSE, k.tenant == tenant, k.private.is_not(None))
    row = c.execute(query.limit(1)).one_or_none()
    if row is not None:
        return unseal(ring, row.private, _sealed_for(row.id))
    key, kid = os.urandom(32), os.urandom(8).hex()
    values = {"id": kid, "tenant": tenant, "purpose": PURPOSE, "algorithm": "hmac-sha256", "public": b""}
    sealed = seal(ring, key, _sealed_for(kid))
    c.execute(sa.insert(t.signing_keys).values(**values, private=sealed, created_ms=round(time.time() * 1000)))
    return key


def forget_key(c: Connection, tenant: str) -> bool:
    """Destroy the key of a tenant's pseudonyms: no name leads to one of them any more."""
    k = t.signing_keys.c
    return bool(c.execute(sa.delete(t.signing_keys).where(k.purpose == PURPOSE, k.tenant == tenant)).rowcount)


def _sealed_for(kid: str) -> str:
    return f"signing_keys.private {kid}"
