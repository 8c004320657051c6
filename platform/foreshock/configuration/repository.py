"""Versions of the live settings in the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from foreshock.configuration.model import NONE, Version
from foreshock.store import config_tables as t
from foreshock.store.store import Store

__all__ = ["VersionRepository"]


class VersionRepository:
    """All versions; they are only ever added."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def newest(self, c: Connection) -> Version:
        """The version in force; `NONE` before anything was set."""
        query = sa.select(t.config_versions).order_by(t.config_versions.c.number.desc()).limit(1)
        row = c.execute(query).mappings().one_or_none()
        return NONE if row is None else _version(row)

    def get(self, c: Connection, number: int) -> Version | None:
        """One version; 0 is that before anything was set."""
        if number == 0:
            return NONE
        row = c.execute(sa.select(t.config_versions).where(t.config_versions.c.number == number)).mappings()
        found = row.one_or_none()
        return None if found is None else _version(found)

    def list(self, c: Connection, *, before: int | None, limit: int) -> list[Version]:
        """Versions, the newest first."""
        query = sa.select(t.config_versions).order_by(t.config_versions.c.number.desc()).limit(limit)
        if before is not None:
            query = query.where(t.config_versions.c.number < before)
        return [_version(row) for row in c.execute(query).mappings()]

    def add(self, c: Connection, version: Version) -> bool:
        """Add a version; False if somebody else has added that number."""
        values = {
            "number": version.number, "at_ms": version.at_ms, "who": version.who, "note": version.note,
            "settings": version.values, "cause": version.cause, "problem": version.problem,
        }  # fmt: skip
        insert = self.store.insert(t.config_versions).values(**values)
        insert = insert.on_conflict_do_nothing(index_elements=["number"]).returning(t.config_versions.c.number)
        return c.execute(insert).first() is not None

    def note_problem(self, c: Connection, number: int, problem: str) -> None:
        """Keep why a version could not be applied."""
        table = t.config_versions
        c.execute(sa.update(table).where(table.c.number == number).values(problem=problem))

    def pins(self, c: Connection) -> dict[str, Any] | None:
        """Settings that the environment of the installation fixed at its last start; None: there was none."""
        found: dict[str, Any] | None = c.execute(sa.select(t.config_pins.c.settings)).scalar_one_or_none()
        return found

    def pin(self, c: Connection, pinned: Mapping[str, Any], now_ms: int) -> None:
        """Keep what the environment fixes."""
        values = {"settings": dict(pinned), "at_ms": now_ms}
        insert = self.store.insert(t.config_pins).values(id=1, **values)
        c.execute(insert.on_conflict_do_update(index_elements=["id"], set_=values))


def _version(row: Any) -> Version:
    return Version(
        row["number"], row["at_ms"], row["who"], row["note"], row["settings"], row["cause"], row["problem"]
    )
