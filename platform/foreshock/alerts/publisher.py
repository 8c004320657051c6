"""Publish changes of alerts to their receivers, by the outbox, unless a silence holds them back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy.engine import Connection

from foreshock.alerts.model import Alert
from foreshock.alerts.payload import alert_payload
from foreshock.alerts.repository import AlertRepository
from foreshock.clock import iso
from foreshock.logs import get_logger
from foreshock.notify.outbox import EVERY, LAPSES, Outbox
from foreshock.silences.index import SilenceIndex
from foreshock.silences.model import Silence
from foreshock.silences.repository import SilenceRepository
from foreshock.store.store import Store

__all__ = ["AlertPublisher", "Change"]

log = get_logger("alerts")
KEPT = 4
"""Indexes of silences that stay ready."""
OPENING = ("opened", "reopened")


@dataclass(frozen=True, slots=True)
class Change:
    """The event of an alert.

    ``opened``, ``reopened``, ``escalated``, ``acknowledged``, ``resolved``, ``unsilenced``, or ``updated``, of
    which receivers are not told.
    """

    event: str
    alert: Alert


@dataclass
class AlertPublisher:
    """Publishes changes of alerts.

    A silence holds back all that is said of an alert, with one exception: the end of one that receivers know of,
    who would otherwise take it as open for ever.

    Parameters
    ----------
    url
        Base of the links in alerts.
    """

    store: Store
    url: str = ""
    _indexes: dict[Any, SilenceIndex] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.alerts = AlertRepository(self.store)
        self.outbox = Outbox(self.store)
        self.silences = SilenceRepository(self.store)

    def unexpired_silences(self, since_ms: int) -> SilenceIndex:
        """Return the silences that have not expired at a time, for `publish` and `apply_silences`.

        Read them before the transaction. One that is declared or ended meanwhile counts from the next time on.
        """
        version = self.silences.version(since_ms)
        found = self._indexes.get(version)
        if found is None:
            said = {silence.id for index in self._indexes.values() for silence, _ in index.unusable}
            found = SilenceIndex(self.silences.unexpired(since_ms))
            for silence, why in found.unusable:
                if silence.id not in said:
                    log.error("silence is unusable: it holds nothing back", silence=silence.id, why=why)
            # passes of several jobs, and what is done between passes, ask about different times
            self._indexes = {**dict(list(self._indexes.items())[1 - KEPT :]), version: found}
        return found

    def publish(
        self, c: Connection, changes: Sequence[Change], silences: SilenceIndex, now_ms: int
    ) -> list[Change]:
        """Post what is not held back; gives the changes with what is silenced marked."""
        known: dict[str, Alert] = {}  # what an earlier change of these has marked
        done = []
        for change in changes:
            alert = change.alert
            if alert.id in known:
                before = known[alert.id]
                alert = replace(alert, announced=before.announced, silenced_by=before.silenced_by)
            if change.event != "updated":
                alert = self._publish_one(c, Change(change.event, alert), silences, now_ms)
                known[alert.id] = alert
            done.append(Change(change.event, alert))
        return done

    def apply_silences(
        self, c: Connection, live: Iterable[Alert], silences: SilenceIndex, at_ms: int, now_ms: int
    ) -> list[Change]:
        """Mark live alerts that a silence has begun to hold back, and send those whose silence is over."""
        changes = []
        for alert in live:
            silence = silences.silence_of(alert, at_ms)
            if silence is not None and alert.silenced_by is None:
                self._mark_silenced(c, alert, silence, at_ms)
            elif silence is None and alert.silenced_by is not None:
                event = "unsilenced" if alert.announced else "opened"
                free = replace(alert, silenced_by=None, announced=True)
                self.alerts.save_announcement(c, free)
                why = f"the silence {alert.silenced_by} is over and the alert lasts"
                self.alerts.note(c, free, "unsilenced", who="foreshock", why=why, at_ms=at_ms)
                self._post(c, free, event, now_ms)
                changes.append(Change("unsilenced", free))
        return changes

    def remind(self, c: Connection, silence: Silence, jobs: Iterable[str], now_ms: int) -> None:
        """Tell the notifiers of the jobs that a silence touches that it lapses soon, once."""
        if self.silences.reminded(c, silence.id, now_ms):
            for job in filter(silence.may_match_job, jobs):
                payload = _reminder(silence, job, self.url, now_ms)
                self.outbox.post(c, f"{silence.id}/{LAPSES}/{job}", f"{job}/{EVERY}", payload, now_ms)

    def _publish_one(self, c: Connection, change: Change, silences: SilenceIndex, now_ms: int) -> Alert:
        alert = change.alert
        silence = silences.silence_of(alert, alert.updated_ms)
        if silence is not None:
            if alert.silenced_by is None and change.event != "resolved":
                alert = self._mark_silenced(c, alert, silence, alert.updated_ms)
            if not (change.event == "resolved" and alert.announced):
                return alert
        elif not alert.announced or alert.silenced_by is not None:
            new = not alert.announced
            alert = replace(alert, announced=True, silenced_by=None)
            self.alerts.save_announcement(c, alert)
            if new and change.event not in OPENING:  # its silence ended since the last pass: it has outlasted it
                opened = replace(alert, state="open", resolved_ms=None)
                self._post(c, opened, "opened", now_ms)
        self._post(c, alert, change.event, now_ms)
        return alert

    def _mark_silenced(self, c: Connection, alert: Alert, silence: Silence, at_ms: int) -> Alert:
        held = replace(alert, silenced_by=silence.id)
        self.alerts.save_announcement(c, held)
        self.alerts.note(c, held, "silenced", who=silence.owner, why=silence.reason, at_ms=at_ms)
        return held

    def _post(self, c: Connection, alert: Alert, event: str, now_ms: int) -> None:
        # the time of rows and that of the clock: an alert that stands still may be acknowledged or silenced twice
        key = f"{alert.id}/{event}/{alert.updated_ms}/{now_ms}"
        payload = {**alert_payload(alert, event, self.url), "posted": iso(now_ms, "milliseconds")}
        self.outbox.post(c, key, f"{alert.job}/{EVERY}", payload, now_ms)


def _reminder(silence: Silence, job: str, url: str, now_ms: int) -> dict[str, Any]:
    """In the shape of an alert, so that every notifier can send it; it ends with the silence."""
    matchers = ", ".join(map(str, silence.matchers))
    notice = Alert(
        id=silence.id, job=job, entity="", labels={}, kind="notice", state="open", severity="info",
        opened_ms=now_ms, updated_ms=now_ms, score=0.0, peak=0.0, causes=[], resolved_ms=silence.end_ms,
        summary=f"the silence of {silence.owner} ({silence.reason}) on {matchers} ends at {iso(silence.end_ms)}",
    )  # fmt: skip
    return {**alert_payload(notice, LAPSES, url), "url": f"{url}/ai/silences/{silence.id}"}
