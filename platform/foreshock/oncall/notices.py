"""Notices of schedules: to a person before a shift, and of gaps in which nobody is on call. Each is told once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from foreshock.clock import iso
from foreshock.events.model import DEFAULT_TENANT
from foreshock.logs import get_logger
from foreshock.notify.channels.queue import queue_of_channel
from foreshock.notify.outbox import Outbox
from foreshock.oncall.config import NotificationsConfig
from foreshock.oncall.schedule import Shift, shifts
from foreshock.store import oncall_tables as t
from foreshock.store.store import Store

__all__ = ["Notices"]

log = get_logger("oncall")
EVERY_MS = 60_000
GAPS_AHEAD = timedelta(days=14)
KEPT_MS = 90 * 86_400_000


class Notices:
    """Tells of shifts and gaps; see `Escalation`."""

    def __init__(
        self,
        store: Store,
        config: Callable[[], NotificationsConfig],
        *,
        url: str = "",
        tenant: str = DEFAULT_TENANT,
    ) -> None:
        self.store, self.tenant, self.url = store, tenant, url
        self.outbox = Outbox(store)
        self._config = config
        self._next_ms = 0

    def run(self, now_ms: int) -> None:
        """Look once a minute."""
        if self._next_ms - EVERY_MS <= now_ms < self._next_ms:
            return
        self._next_ms = now_ms + EVERY_MS
        config, now = self._config(), datetime.fromtimestamp(now_ms / 1000, UTC)
        for name, schedule in config.schedules.items():
            found = shifts(schedule, now, now + GAPS_AHEAD)
            for shift in found:
                if shift.person is None:
                    end = "open" if shift is found[-1] else f"{shift.end:%Y%m%dT%H%M}"
                    self._gap(name, shift, end, now_ms)
                elif now < shift.start <= now + (config.notice_before_shift or timedelta(0)):
                    self._shift(config, name, shift, now_ms)
        with self.store.begin() as c:
            c.execute(sa.delete(t.notices).where(t.notices.c.at_ms < now_ms - KEPT_MS))

    def _shift(self, config: NotificationsConfig, name: str, shift: Shift, now_ms: int) -> None:
        key = f"shift/{name}/{shift.person}/{shift.start:%Y%m%dT%H%M}"
        person = config.people.get(shift.person or "")
        with self.store.begin() as c:
            if person is None or not self._first(c, key, now_ms):
                return
            start, end = (iso(round(edge.timestamp() * 1000)) for edge in (shift.start, shift.end))
            payload = {
                "id": f"shift-{name}"[:32], "event": "shift", "tenant": self.tenant, "posted": iso(now_ms),
                "title": f"{name}, {start} to {end}", "links": {"incident": f"{self.url}/incidents"},
            }  # fmt: skip
            for channel in person.channels:
                whole = f"{key}/{channel}"[-160:]
                self.outbox.post(
                    c, whole, queue_of_channel(channel, self.tenant), {**payload, "key": whole}, now_ms
                )

    def _gap(self, name: str, shift: Shift, end: str, now_ms: int) -> None:
        with self.store.begin() as c:
            if self._first(c, f"gap/{name}/{end}", now_ms):
                log.warning(
                    "nobody is on call", schedule=name, start=shift.start.isoformat(), end=shift.end.isoformat()
                )

    def _first(self, c: Connection, key: str, now_ms: int) -> bool:
        insert = self.store.insert(t.notices).values(tenant=self.tenant, key=key[:160], at_ms=now_ms)
        return c.execute(insert.on_conflict_do_nothing().returning(t.notices.c.key)).first() is not None
