"""Use cases of notifications: test a channel, preview a message, send one of your own; and who is on call."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from foreshock.clock import iso
from foreshock.incidents.repository import IncidentRepository
from foreshock.notify.channels.queue import queue_of_channel
from foreshock.notify.outbox import Outbox
from foreshock.notify.sender import Sender
from foreshock.notify.templates import Rendered
from foreshock.oncall.config import NotificationsConfig
from foreshock.oncall.pipeline import channel_of
from foreshock.oncall.schedule import gaps, on_call, shifts
from foreshock.store.scope import current_tenant
from foreshock.store.store import Store
from foreshock_models.errors import ConfigError, NotifyError, allowed

__all__ = ["Notifications", "duty"]

PRIORITIES = {"low": "info", "normal": "warning", "high": "critical"}
LONGEST = 4000


@dataclass(frozen=True, slots=True)
class Notifications:
    """Use cases of channels: each checks what it is given before anything is sent."""

    store: Store
    config: NotificationsConfig
    url: str = ""
    tenant: str = field(default_factory=current_tenant)

    def test(self, channel: str, now_ms: int) -> None:
        """Send a message that says that it is a test, now, past limits and quiet hours.

        Raises
        ------
        ConfigError
            No such channel.
        NotifyError
            The receiver did not take it; says why.
        """
        self._known(channel)
        made = channel_of(self.config, channel, self.store, self.tenant)
        failure = Sender(self.config.channels[channel], lambda config: made).send([self._example(now_ms)])
        if failure is not None:
            raise NotifyError(failure.reason)

    def preview(self, channel: str, incident: str | None, now_ms: int, event: str = "paged") -> Rendered:
        """Render the message that a channel would send about an incident, or about an example."""
        self._known(channel)
        payload = self._example(now_ms)
        if incident is not None:
            found = IncidentRepository(self.store, self.tenant).get(incident)
            payload = {
                **payload,
                "id": found.id,
                "test": False,
                "incident": found.as_json(self.url),
                "event": event,
            }
            payload["links"] = {**payload["links"], "incident": f"{self.url}/incidents/{found.id}"}
        return channel_of(self.config, channel, self.store, self.tenant).rendered(payload)

    def send(
        self,
        title: str,
        *,
        now_ms: int,
        recipients: Sequence[str] = (),
        channels: Sequence[str] = (),
        template: str | None = None,
        priority: str = "normal",
        variables: dict[str, Any] | None = None,
    ) -> str:
        """Send a message of one's own by the outbox; gives its id.

        Parameters
        ----------
        recipients
            Names of people, each told by all of their channels.

        Raises
        ------
        ConfigError
            Nobody to tell, no such person, channel or priority, or a text that is empty or too long.
        """
        if priority not in PRIORITIES:
            raise ConfigError(f"priority {priority!r}; {allowed(priority, PRIORITIES)}")
        if not 0 < len(title.strip()) <= LONGEST:
            raise ConfigError(f"a message has 1 to {LONGEST} characters, this one has {len(title)}")
        for person in recipients:
            if person not in self.config.people:
                raise ConfigError(f"no person {person!r}; {allowed(person, self.config.people)}")
        wanted = [*channels, *(each for name in recipients for each in self.config.people[name].channels)]
        if not wanted:
            raise ConfigError("nobody to tell: name recipients or channels")
        for channel in wanted:
            self._known(channel)
        name = f"m-{secrets.token_hex(6)}"
        payload = {
            "id": name, "event": "message", "tenant": self.tenant, "posted": iso(now_ms), "title": title,
            "links": {"incident": self.url}, "variables": variables or {}, "template": template,
            "incident": {"title": title, "severity": PRIORITIES[priority], "since": iso(now_ms)},
        }  # fmt: skip
        with self.store.begin() as c:
            for channel in dict.fromkeys(wanted):
                key = f"{name}/{channel}"
                Outbox(self.store).post(
                    c, key, queue_of_channel(channel, self.tenant), {**payload, "key": key}, now_ms
                )
        return name

    def _known(self, channel: str) -> None:
        if channel not in self.config.channels:
            raise ConfigError(f"no channel {channel!r}; {allowed(channel, self.config.channels)}")

    def _example(self, now_ms: int) -> dict[str, Any]:
        cause = {"node": "db-1", "reason": "db-1 departed first: latency 2.1, usual 0.4", "metrics": []}
        incident: dict[str, Any] = {
            "id": "test", "state": "open", "severity": "info", "title": "latency of db-1 and 2 more (shop)",
            "since": iso(now_ms), "resolved": None, "alerts": 3, "jobs": ["shop"], "labels": {}, "class": None,
            "entities": ["db-1", "api-1", "web-1"], "root_causes": [cause], "assignee": None,
        }  # fmt: skip
        links = {"incident": f"{self.url}/incidents"}
        return {
            "id": f"test-{secrets.token_hex(4)}", "event": "paged", "tenant": self.tenant, "posted": iso(now_ms),
            "test": True, "incident": incident, "links": links,
        }  # fmt: skip


def duty(config: NotificationsConfig, now: datetime, ahead: timedelta = timedelta(days=14)) -> list[dict[str, Any]]:
    """Say of each schedule who is on call, who is next, and when nobody is."""
    found = []
    for name, schedule in sorted(config.schedules.items()):
        coming = shifts(schedule, now.astimezone(UTC), now.astimezone(UTC) + ahead)
        found.append(
            {
                "schedule": name,
                "on_call": on_call(schedule, now),
                "until": coming[0].end.isoformat(),
                "next": coming[1].person if len(coming) > 1 else None,
                "gaps": [
                    {"start": gap.start.isoformat(), "end": gap.end.isoformat()}
                    for gap in gaps(schedule, now.astimezone(UTC), now.astimezone(UTC) + ahead)
                ],
            }
        )
    return found
