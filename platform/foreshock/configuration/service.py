"""Use cases of the live settings: set, list, compare, return to an older version."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import Connection

from foreshock.audit import record
from foreshock.audit.acting import SYSTEM, current_actor
from foreshock.configuration.model import NONE, Version, changes, checked, in_force
from foreshock.configuration.repository import VersionRepository
from foreshock.store.scope import DEFAULT_TENANT
from foreshock.store.store import Store
from foreshock_models.errors import ConfigError, StateError, StoreError

__all__ = ["Configuration", "StaleVersion"]

LONGEST_NOTE = 2000
SETTLE, POLL = 3.0, 0.25
"""Seconds in which every process has taken up a version, or has refused it."""


class StaleVersion(StateError):
    """Somebody else has changed the settings since they were read."""


class Configuration:
    """The live settings of an installation.

    Parameters
    ----------
    pinned
        Settings that the environment fixes, by name; default: as the installation noted them at its last start.
    """

    def __init__(self, store: Store, pinned: Mapping[str, Any] | None = None) -> None:
        self.store = store
        self.repository = VersionRepository(store)
        self._pinned = pinned

    @property
    def pinned(self) -> dict[str, Any]:
        """Settings that the environment fixes."""
        if self._pinned is not None:
            return dict(self._pinned)
        return self.noted() or {}

    def noted(self) -> dict[str, Any] | None:
        """Settings that the environment of the installation fixed at its last start; None: there was none."""
        with self.store.read() as c:
            return self.repository.pins(c)

    def current(self) -> Version:
        """The version in force."""
        with self.store.read() as c:
            return self.repository.newest(c)

    def history(self, *, before: int | None = None, limit: int = 50) -> list[Version]:
        """Versions, the newest first."""
        with self.store.read() as c:
            return self.repository.list(c, before=before, limit=limit)

    def version(self, number: int) -> Version:
        """One version; StoreError if there is none of that number."""
        with self.store.read() as c:
            return self._version(c, number)

    def diff(self, before: int, after: int) -> dict[str, dict[str, Any]]:
        """Return what differs between two versions."""
        with self.store.read() as c:
            return changes(self._version(c, before).values, self._version(c, after).values)

    def check(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return values in the form that they are kept in.

        Raises
        ------
        ConfigError
            A name or value is not allowed, or the environment fixes one of them.
        """
        found, pinned = checked(values), self.pinned
        fixed = [name for name in found if name in pinned and found[name] != pinned[name]]
        if fixed:
            raise ConfigError(
                "\n".join(
                    f"{name}: FORESHOCK_{name.upper()} is set in the environment of the installation, which wins; "
                    "unset it there and restart" for name in fixed
                )
            )  # fmt: skip
        in_force(found, pinned)
        return found

    def set(self, values: Mapping[str, Any], *, expected: int | None = None, note: str = "") -> Version:
        """Add a version with these values and no others; gives it.

        Parameters
        ----------
        expected
            Number of the version that the values were made from; None: of any.

        Raises
        ------
        ConfigError
            See `check`.
        StaleVersion
            Another version than the expected one is in force.
        """
        found = self.check(values)
        with self.store.begin() as c:
            before = self._expected(c, expected)
            return self._add(c, before, found, note, "set", changes=changes(before.values, found))

    def rollback(self, to: int, *, expected: int | None = None, note: str = "") -> Version:
        """Add a version with the values of an older one; errors as of `set`."""
        older = self.version(to)
        found = self.check(older.values)
        with self.store.begin() as c:
            before = self._expected(c, expected)
            changed = changes(before.values, found)
            return self._add(c, before, found, note or f"back to version {to}", "rollback", to=to, changes=changed)

    def refuse(self, number: int, process: str, problem: str) -> None:
        """Replace a version that a process could not apply by the values before it."""
        with self.store.begin() as c:
            newest = self.repository.newest(c)
            if newest.number != number or newest.cause == "refused":
                return
            before = self._version(c, number - 1)
            said = f"{process}: {problem}"[:LONGEST_NOTE]
            self.repository.note_problem(c, number, said)
            values = {**before.values}
            added = Version(number + 1, _now_ms(), SYSTEM.who, f"version {number} was refused", values, "refused")
            if self.repository.add(c, added):
                record(
                    self.store, c, "config:refuse", f"version {number}", outcome="failed", actor=SYSTEM,
                    tenant=DEFAULT_TENANT, problem=said,
                )  # fmt: skip

    def settle(self, version: Version) -> str | None:
        """Wait until every process has had the time to take up a version; gives why one refused it, if so."""
        deadline = time.monotonic() + SETTLE
        while time.monotonic() < deadline:
            time.sleep(POLL)
            found = self.version(version.number)
            if found.problem is not None:
                return found.problem
        return None

    def pin(self, pinned: Mapping[str, Any]) -> None:
        """Note what the environment of an installation that starts fixes."""
        with self.store.begin() as c:
            self.repository.pin(c, pinned, _now_ms())

    def _version(self, c: Connection, number: int) -> Version:
        found = self.repository.get(c, number)
        if found is None:
            newest = self.repository.newest(c).number
            raise StoreError(f"no version {number} of the settings; there are 0 to {newest}")
        return found

    def _expected(self, c: Connection, expected: int | None) -> Version:
        newest = self.repository.newest(c)
        if expected is not None and newest.number != expected:
            raise StaleVersion(
                f"version {newest.number or NONE.number} is in force, by {newest.who or 'nobody'}, not {expected}: "
                "read the settings again"
            )
        return newest

    def _add(
        self, c: Connection, before: Version, values: dict[str, Any], note: str, cause: str, **data: Any
    ) -> Version:
        if len(note) > LONGEST_NOTE or "\0" in note:
            raise ConfigError(f"note: at most {LONGEST_NOTE} characters, and no NUL")
        version = Version(before.number + 1, _now_ms(), current_actor().who, note, values, cause)
        if not self.repository.add(c, version):
            raise StaleVersion("somebody else changed the settings just now: read them again")
        record(
            self.store, c, f"config:{cause}", f"version {version.number}", tenant=DEFAULT_TENANT, note=note, **data
        )
        return version


def _now_ms() -> int:
    return round(time.time() * 1000)
