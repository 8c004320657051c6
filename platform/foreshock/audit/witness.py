"""A file beside the store: the public keys that are trusted, and the longest log that was seen of each tenant.

It is not in the store, so that whoever can write there can neither sign a log of their own nor cut its end off
unseen. Keep a copy of it elsewhere.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from foreshock_models.errors import StateError

__all__ = ["FILE", "Witness"]

FILE = "audit-witness.json"
Keys = dict[str, tuple[str, bytes]]
"""Key id to its algorithm and public half."""


class Witness:
    """Reads and extends the file in the home folder; two processes take turns."""

    def __init__(self, home: Path) -> None:
        self.path = home / FILE

    def trust(self, keys: Keys, *, first_only: bool = False) -> None:
        """Trust these keys, too; `first_only`: only if none is trusted yet, as on a machine that joins."""
        with self._changed() as held:
            known = held.setdefault("keys", {})
            if first_only and known:
                return
            for kid, (algorithm, public) in keys.items():
                known[kid] = {"algorithm": algorithm, "public": base64.b64encode(public).decode()}

    def saw(self, tenant: str, size: int, root: str) -> None:
        """Remember the size and root of a log, if it is the longest so far."""
        with self._changed() as held:
            logs = held.setdefault("logs", {})
            if size > logs.get(tenant, {}).get("size", 0):
                logs[tenant] = {"size": size, "root": root}

    def forget(self, tenant: str) -> None:
        """Take away what is known of a tenant that was deleted."""
        with self._changed() as held:
            held.get("logs", {}).pop(tenant, None)

    def keys(self) -> Keys:
        found = self._read().get("keys", {})
        return {kid: (key["algorithm"], base64.b64decode(key["public"])) for kid, key in found.items()}

    def seen(self, tenant: str) -> tuple[int, str] | None:
        """Size and root of the longest log that was seen."""
        found = self._read().get("logs", {}).get(tenant)
        return None if found is None else (found["size"], found["root"])

    def _read(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self.path.read_text())
        except FileNotFoundError:
            return {}
        except (ValueError, OSError) as exc:
            raise StateError(f"{self.path}: cannot be read: {exc}; put back a copy of it") from exc
        return found

    @contextmanager
    def _changed(self) -> Iterator[dict[str, Any]]:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self.path.with_name(f".{FILE}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            held = self._read()
            before = json.dumps(held)
            yield held
            if json.dumps(held) != before:
                part = self.path.with_name(f"{FILE}.{secrets.token_hex(4)}")
                with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                    file.write(json.dumps(held, indent=1))
                os.replace(part, self.path)
        finally:
            os.close(lock)
