"""Recipients of an escalation step: targets become channels, each with the time at which it may be told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from foreshock.incidents.model import Incident
from foreshock.oncall.config import NotificationsConfig, Person
from foreshock.oncall.schedule import next_shift, on_call

__all__ = ["Recipient", "recipients"]

AHEAD = timedelta(days=7)
"""So far ahead a shift is looked for when nobody is on call."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """Somebody who is to be told: a channel, when, and the name in the link that acknowledges."""

    channel: str
    who: str
    due_ms: int


def recipients(
    config: NotificationsConfig, targets: Iterable[str], incident: Incident, now_ms: int
) -> list[Recipient]:
    """Return who is told in a step, each channel once; messages of quiet hours, and of gaps, come later."""
    found: dict[str, Recipient] = {}
    for target in targets:
        kind, _, name = target.partition(":")
        if kind == "channel":
            told = [Recipient(name, "", _digested(config, name, incident, now_ms))]
        elif kind == "person":
            told = _of_person(config, name, incident, now_ms)
        else:
            schedule, at = config.schedules[name], datetime.fromtimestamp(now_ms / 1000, UTC)
            person = on_call(schedule, at)
            begins_ms = now_ms
            if person is None:  # it waits for whoever comes next
                shift = next_shift(schedule, at, AHEAD)
                if shift is None or shift.person is None:
                    continue
                person, begins_ms = shift.person, round(shift.start.timestamp() * 1000)
            told = _of_person(config, person, incident, begins_ms)
        for each in told:
            known = found.get(each.channel)
            if known is None or each.due_ms < known.due_ms:
                found[each.channel] = each
    return list(found.values())


def _of_person(config: NotificationsConfig, name: str, incident: Incident, at_ms: int) -> list[Recipient]:
    person = config.people[name]
    due_ms = max(at_ms, _awake(person, incident.severity, at_ms))
    return [Recipient(each, name, _digested(config, each, incident, due_ms)) for each in person.channels]


def _digested(config: NotificationsConfig, channel: str, incident: Incident, due_ms: int) -> int:
    digest = config.channels[channel].digest
    if digest is None or incident.severity == "critical":
        return due_ms
    every = round(digest.total_seconds() * 1000)
    return -(-due_ms // every) * every


def _awake(person: Person, severity: str, at_ms: int) -> int:
    """When a person may be told, at the earliest, ms since the epoch."""
    order = ("info", "warning", "critical")
    if person.breaks is not None and order.index(severity) >= order.index(person.breaks):
        return at_ms
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    for _ in range(100):  # one stretch may end in another one
        quiet = [over for hours in person.quiet if (over := hours.over_at(person.zone, at)) is not None]
        if quiet:
            at = max(quiet)
            continue
        if person.working and not any(hours.holds(person.zone, at) for hours in person.working):
            spans = [s for hours in person.working for s in hours.spans(person.zone, at, at + AHEAD)]
            later = [first for first, _ in spans if first > at]
            if not later:
                return at_ms
            at = min(later)
            continue
        break
    return round(at.timestamp() * 1000)
