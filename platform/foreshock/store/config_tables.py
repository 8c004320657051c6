"""Tables of the settings that change while an installation runs."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, Integer, String, Table, Text

from foreshock.store.scope import DEFAULT_TENANT
from foreshock.store.tables import metadata

__all__ = ["config_pins", "config_versions"]

config_versions = Table(
    "config_versions", metadata,
    Column("tenant", String(64), nullable=False, server_default=DEFAULT_TENANT),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("who", String(128), nullable=False),
    Column("note", Text, nullable=False),
    Column("settings", JSON, nullable=False, comment="what was set; the rest has its default"),
    Column("cause", String(16), nullable=False),
    Column("problem", Text, comment="why it could not be applied"),
    comment="versions of the live settings; the newest is in force",
)  # fmt: skip

config_pins = Table(
    "config_pins", metadata,
    Column("tenant", String(64), nullable=False, server_default=DEFAULT_TENANT),
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("settings", JSON, nullable=False),
    comment="one row: live settings that the environment fixed at the last start",
)  # fmt: skip

for table in (config_versions, config_pins):
    table.info["unscoped"] = True  # of the installation as a whole: every process of it reads them
