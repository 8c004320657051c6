"""Tables of escalation: which incidents escalate, what channels remember, and links that acknowledge."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, Index, Integer, String, Table

from foreshock.store.scope import tenant_column
from foreshock.store.tables import metadata

__all__ = ["ack_links", "notices", "pages", "threads"]

pages = Table(
    "pages", metadata,
    Column("tenant", String(64), primary_key=True),
    Column("incident", String(32), primary_key=True),
    Column("policy", String(64), primary_key=True),
    Column("state", String(16), nullable=False, comment="active, acknowledged, or over"),
    Column("step", Integer, nullable=False, comment="the next step, from 0"),
    Column("round", Integer, nullable=False, comment="how often the policy has been gone through"),
    Column("at_ms", BigInteger, nullable=False, comment="when that was decided"),
    Column("due_ms", BigInteger, nullable=False, comment="of the next step"),
    Column("began", BigInteger, nullable=False, comment="number of the event that it began with"),
    Index("pages_by_due", "state", "due_ms"),
    comment="escalation of incidents: written with the messages of each step",
)  # fmt: skip

threads = Table(
    "threads", metadata,
    tenant_column(),
    Column("channel", String(64), primary_key=True),
    Column("incident", String(64), primary_key=True),
    Column("reference", JSON, nullable=False),
    Column("at_ms", BigInteger, nullable=False, index=True),
    comment="the message about an incident in a channel, so that it can be changed",
)  # fmt: skip

ack_links = Table(
    "ack_links", metadata,
    Column("digest", String(64), primary_key=True, comment="SHA-256 of the token, which is not stored"),
    Column("tenant", String(64), nullable=False),
    Column("incident", String(32), nullable=False),
    Column("who", String(128), nullable=False),
    Column("until_ms", BigInteger, nullable=False, index=True),
    Column("used_ms", BigInteger),
    comment="links that acknowledge an incident, once",
)  # fmt: skip

notices = Table(
    "notices", metadata,
    Column("tenant", String(64), primary_key=True),
    Column("key", String(160), primary_key=True),
    Column("at_ms", BigInteger, nullable=False, index=True),
    comment="what was told once and is not told again: shifts that begin, gaps in schedules",
)  # fmt: skip
