"""Escalation of incidents: reads their events, and writes the messages of each step in the same transaction.

A step is told once: the keys of its messages follow from incident, policy, round and step, and the outbox takes a
key once, whoever writes it. Time is that of whoever calls; a clock that is set back tells nobody twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from foreshock.clock import iso
from foreshock.events.model import DEFAULT_TENANT, Event
from foreshock.events.repository import EventRepository
from foreshock.incidents.model import PLATFORM, Incident
from foreshock.incidents.repository import IncidentRepository
from foreshock.notify.channels.queue import PREFIX, channel_of_queue, queue_of_channel
from foreshock.notify.outbox import Outbox
from foreshock.oncall.ack_links import AckLinks
from foreshock.oncall.config import NotificationsConfig
from foreshock.oncall.recipients import Recipient, recipients
from foreshock.oncall.routing import ways
from foreshock.store import oncall_tables as t
from foreshock.store import tables as shared
from foreshock.store.store import Store

__all__ = ["CONSUMER", "Escalation"]

CONSUMER = "oncall"
BATCH = 200
SET_BACK_MS = 60_000
UPDATES_MS = 300_000
"""Channels that change their messages are told of more alerts once in this time."""
ENDS = {"acknowledged": "acknowledged", "resolved": "over", "merged": "over"}


class Escalation:
    """Escalates the incidents of a tenant.

    Parameters
    ----------
    config
        Gives the configuration in force.
    url
        Base of the links in messages.
    """

    def __init__(
        self,
        store: Store,
        config: Callable[[], NotificationsConfig],
        *,
        url: str = "",
        tenant: str = DEFAULT_TENANT,
    ) -> None:
        self.store = store
        self.tenant = tenant
        self.url = url
        self.events = EventRepository(store, tenant)
        self.incidents = IncidentRepository(store, tenant)
        self.outbox = Outbox(store)
        self.links = AckLinks(store, url)
        self._config = config

    def run(self, now_ms: int) -> int:
        """Take in what happened to incidents, then take the steps that are due; gives how many messages."""
        told = 0
        while (taken := self._read(now_ms)) is not None:
            told += taken
        for incident, policy in self._due(now_ms):
            with self.store.begin() as c:
                told += self._step(c, incident, policy, now_ms)
        return told

    def live(self, channel: str, now_ms: int) -> list[dict[str, Any]]:
        """Messages about the live incidents that a channel knows of, for receivers that forget them."""
        found = {incident.id: incident for incident in self.incidents.list(state="live", limit=500).incidents}
        o = shared.outbox.c
        sent = sa.select(o.key).where(
            o.notifier == queue_of_channel(channel, self.tenant), o.sent_ms.is_not(None), o.error.is_(None)
        )
        with self.store.begin() as c:
            known = {key.partition("/")[0] for key in c.execute(sent).scalars()}
        return [
            {
                "id": incident.id, "event": "repeated", "incident": incident.as_json(self.url),
                "links": {"incident": f"{self.url}/incidents/{incident.id}"},
            }
            for incident in found.values()
            if incident.id in known
        ]  # fmt: skip

    # -- what happened to incidents --------------------------------------------------------------------
    def _read(self, now_ms: int) -> int | None:
        with self.store.begin() as c:
            reached = self.events.reached(c, CONSUMER)
            events = self.events.since(reached, ["incident"], limit=BATCH, connection=c)
            if not events:
                return None
            told = sum(self._take(c, event, now_ms) for event in events)
            self.events.reach(c, CONSUMER, events[-1].seq)
            return told

    def _take(self, c: Connection, event: Event, now_ms: int) -> int:
        what = event.data["event"]
        if what in ("paged", "reopened"):
            return self._begin(c, event, now_ms)
        if what in ENDS:
            return self._end(c, event, ENDS[what], now_ms)
        if what == "joined":
            return self._update(c, event, now_ms)
        return 0

    def _begin(self, c: Connection, event: Event, now_ms: int) -> int:
        incident = self.incidents.get(event.subject, c)
        if not incident.live or (event.data["event"] == "reopened" and incident.paged_ms is None):
            return 0
        for way in ways(self._config().route, incident.match_labels):
            values = {
                "state": "active", "step": 0, "round": 0, "began": event.seq,
                "at_ms": now_ms, "due_ms": now_ms + round(way.wait.total_seconds() * 1000),
            }  # fmt: skip
            insert = self.store.insert(t.pages).values(
                tenant=self.tenant, incident=incident.id, policy=way.policy, **values
            )
            keys = ["tenant", "incident", "policy"]
            c.execute(insert.on_conflict_do_update(index_elements=keys, set_=values))
        return 0

    def _end(self, c: Connection, event: Event, state: str, now_ms: int) -> int:
        """Stop to escalate, take back what nobody has been told yet, and tell those who know of it."""
        p, o = t.pages.c, shared.outbox.c
        of_it = (p.tenant == self.tenant, p.incident == event.subject)
        c.execute(sa.update(t.pages).where(*of_it).values(state=state))
        unsent = (o.key.startswith(f"{event.subject}/"), o.sent_ms.is_(None), o.claimed_ms.is_(None))
        why = f"{event.data['event']} before it was told"
        c.execute(sa.update(shared.outbox).where(*unsent).values(sent_ms=now_ms, error=why))
        incident = self.incidents.get(event.subject, c)
        note = f"{event.data['who']}: {event.data['why']}" if event.data["why"] else ""
        what = "resolved" if event.data["event"] == "merged" else event.data["event"]
        return self._to_those_who_know(c, incident, what, f"{what}/{event.seq}", note, now_ms)

    def _update(self, c: Connection, event: Event, now_ms: int) -> int:
        incident = self.incidents.get(event.subject, c)
        changing = [n for n, ch in self._config().channels.items() if ch.type == "slack" and ch.url is None]
        key = f"joined/{now_ms // UPDATES_MS}"
        return self._to_those_who_know(c, incident, "joined", key, event.data["why"], now_ms, only=changing)

    def _to_those_who_know(
        self, c: Connection, incident: Incident, event: str, key: str, note: str, now_ms: int,
        only: Sequence[str] | None = None,
    ) -> int:  # fmt: skip
        o = shared.outbox.c
        known = (o.key.startswith(f"{incident.id}/"), o.error.is_(None))
        reached = sa.or_(o.sent_ms.is_not(None), o.claimed_ms.is_not(None))
        names = c.execute(sa.select(o.notifier).where(*known, reached).distinct()).scalars()
        channels = [channel_of_queue(name) for name in names if name.startswith(PREFIX)]
        wanted = [name for name in channels if only is None or name in only]
        for channel in wanted:
            self._post(c, incident, event, key, Recipient(channel, "", now_ms), note, now_ms)
        return len(wanted)

    # -- steps -----------------------------------------------------------------------------------------
    def _due(self, now_ms: int) -> list[tuple[str, str]]:
        p = t.pages.c
        active = (p.tenant == self.tenant, p.state == "active")
        query = sa.select(p.incident, p.policy).where(*active, p.due_ms <= now_ms)
        again = {"due_ms": p.due_ms - p.at_ms + now_ms, "at_ms": now_ms}
        with self.store.begin() as c:
            # the clock has been set back since: the next step is due after what was left to wait then
            c.execute(sa.update(t.pages).where(*active, p.at_ms > now_ms + SET_BACK_MS).values(again))
            return [(row[0], row[1]) for row in c.execute(query.order_by(p.due_ms).limit(BATCH))]

    def _step(self, c: Connection, name: str, policy: str, now_ms: int) -> int:
        p = t.pages.c
        where = (p.tenant == self.tenant, p.incident == name, p.policy == policy)
        page = c.execute(sa.select(t.pages).where(*where).with_for_update()).mappings().one_or_none()
        if page is None or page["state"] != "active" or page["due_ms"] > now_ms:
            return 0  # another process has taken the step
        incident = self.incidents.get(name, c)
        steps = self._steps(policy)
        if incident.state != "open" or page["step"] >= len(steps):
            c.execute(sa.update(t.pages).where(*where).values(state="over"))
            return 0
        step = steps[page["step"]]
        told = recipients(self._config(), step.to, incident, now_ms)
        first = page["step"] == 0 and page["round"] == 0
        key = f"{page['began']}/{policy}/{page['round']}.{page['step']}"
        for each in told:
            self._post(c, incident, "paged" if first else "escalated", key, each, "", now_ms)
        who = ", ".join(dict.fromkeys(each.who or each.channel for each in told)) or "nobody"
        why = f"step {page['step'] + 1} of {len(steps)} of the policy {policy}: {who}"
        self.incidents.note(c, incident, "told" if told else "nobody", PLATFORM, why, now_ms)
        c.execute(sa.update(t.pages).where(*where).values(self._next(c, page, incident, policy, now_ms)))
        return len(told)

    def _next(self, c: Connection, page: Any, incident: Incident, policy: str, now_ms: int) -> dict[str, Any]:
        config = self._config().policies[policy]
        step, turn = page["step"] + 1, page["round"]
        if step == len(config.steps):
            step, turn = 0, turn + 1
        if turn > config.repeat:
            why = f"the policy {policy} is at its end, and nobody has acknowledged"
            self.incidents.note(c, incident, "unanswered", PLATFORM, why, now_ms)
            return {"state": "over"}
        # a first step without a pause would be repeated at once
        after = config.steps[step].after or (config.steps[-1].after if step == 0 else timedelta(0))
        pause = max(after, timedelta(minutes=1)) if step == 0 else after
        due_ms = now_ms + round(pause.total_seconds() * 1000)
        return {"step": step, "round": turn, "at_ms": now_ms, "due_ms": due_ms}

    def _steps(self, policy: str) -> Sequence[Any]:
        found = self._config().policies.get(policy)
        return found.steps if found is not None else []

    def _post(
        self, c: Connection, incident: Incident, event: str, key: str, told: Recipient, note: str, now_ms: int
    ) -> None:
        whole = f"{incident.id}/{key}/{told.channel}"
        known = sa.select(shared.outbox.c.seq).where(shared.outbox.c.key == whole)
        if c.execute(known).first() is not None:
            return
        links = {"incident": f"{self.url}/incidents/{incident.id}"}
        if incident.live and event in ("paged", "escalated"):
            links["ack"] = self.links.make(c, self.tenant, incident.id, told.who or told.channel, now_ms)
        payload = {
            "id": incident.id, "event": event, "key": whole, "tenant": self.tenant, "posted": iso(now_ms),
            "incident": incident.as_json(self.url), "links": links, "note": note, "person": told.who or None,
        }  # fmt: skip
        self.outbox.post(c, whole, queue_of_channel(told.channel, self.tenant), payload, told.due_ms)
