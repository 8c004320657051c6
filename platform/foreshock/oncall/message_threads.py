"""Addresses of messages in channels, in the store, so that a message about an incident can be changed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from foreshock.events.model import DEFAULT_TENANT
from foreshock.store import oncall_tables as t
from foreshock.store.store import Store

__all__ = ["MessageThreads"]


@dataclass(frozen=True, slots=True)
class MessageThreads:
    """Memory of channels; see `foreshock.notify.channels.base.Memory`."""

    store: Store
    tenant: str = DEFAULT_TENANT

    def recall(self, channel: str, incident: str) -> dict[str, Any] | None:
        """Return where the message about an incident is; None if there is none."""
        h = t.threads.c
        query = sa.select(h.reference).where(h.tenant == self.tenant, h.channel == channel, h.incident == incident)
        with self.store.begin() as c:
            found: dict[str, Any] | None = c.execute(query).scalar_one_or_none()
        return found

    def remember(self, channel: str, incident: str, reference: dict[str, Any]) -> None:
        """Keep where the message about an incident is; the first one stays."""
        values = {"tenant": self.tenant, "channel": channel, "incident": incident, "reference": reference}
        insert = self.store.insert(t.threads).values(**values, at_ms=round(time.time() * 1000))
        with self.store.begin() as c:
            c.execute(insert.on_conflict_do_nothing())
