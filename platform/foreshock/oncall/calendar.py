"""Schedules as iCalendar (RFC 5545), out and in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr
from icalendar import Calendar, Event

from foreshock.oncall.schedule import Shift, Stretch
from foreshock_models.errors import ConfigError

__all__ = ["from_ical", "to_ical"]

MOST_BYTES = 4 << 20
MOST_EVENTS = 5000
PRODUCT = "-//Foreshock//On-call//EN"


def to_ical(name: str, shifts: Iterable[Shift], made: datetime) -> bytes:
    """Write shifts as a calendar that clients can subscribe to; a gap is an event that says so."""
    calendar = Calendar()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", f"On-call: {name}")
    for shift in shifts:
        event = Event()
        event.add("uid", f"{name}-{shift.start:%Y%m%dT%H%M%SZ}@foreshock")
        event.add("dtstamp", made)
        event.add("dtstart", shift.start)
        event.add("dtend", shift.end)
        event.add("summary", shift.person or f"Nobody is on call ({name})")
        event.add("transp", "OPAQUE" if shift.person else "TRANSPARENT")
        calendar.add_component(event)
    return bytes(calendar.to_ical())


def from_ical(data: bytes, zone: ZoneInfo, start: datetime, end: datetime) -> list[Stretch]:
    """Read overrides from a calendar: the summary of each event names the person.

    Recurring events are taken for the time range.

    Raises
    ------
    ConfigError
        It is no calendar, too large, or an event of it cannot be used.
    """
    if len(data) > MOST_BYTES:
        raise ConfigError(f"the calendar has {len(data):,} bytes; at most {MOST_BYTES:,} are read")
    try:
        calendar = Calendar.from_ical(data)
        found = [stretch for event in calendar.walk("VEVENT") for stretch in _stretches(event, zone, start, end)]
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as exc:
        raise ConfigError(f"the calendar cannot be read: {' '.join(str(exc).split())[:200]}") from exc
    if len(found) > MOST_EVENTS:
        raise ConfigError(f"the calendar has {len(found)} events in that time; at most {MOST_EVENTS} are taken")
    return sorted(found, key=lambda stretch: stretch.start)


def _stretches(event: Any, zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[Stretch]:
    person = str(event.get("summary", "")).strip()
    if not person or str(event.get("transp", "")) == "TRANSPARENT":
        return
    first = _moment(event.decoded("dtstart"), zone)
    if "dtend" in event:
        length = _moment(event.decoded("dtend"), zone) - first
    else:
        length = event.decoded("duration") if "duration" in event else timedelta(days=1)
    if length <= timedelta(0):
        raise ValueError(f"the event of {person} at {first.isoformat()} ends before it begins")
    for begin in _occurrences(event, first, zone, start - length, end):
        if begin < end and begin + length > start:
            yield Stretch(person=person, start=begin, end=begin + length)


def _occurrences(event: Any, first: datetime, zone: ZoneInfo, start: datetime, end: datetime) -> Iterable[datetime]:
    rule = event.get("rrule")
    if rule is None:
        return [first]
    # local times recur: a shift at nine is at nine in summer, too
    of = first.tzinfo if isinstance(first.tzinfo, ZoneInfo) else zone
    local = first.astimezone(of).replace(tzinfo=None)
    text = rule.to_ical().decode()
    if not any(f"FREQ={often}" in text for often in ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")):
        raise ValueError(f"an event that recurs by {text[:80]}; allowed: DAILY, WEEKLY, MONTHLY, YEARLY")
    if "UNTIL" in text:
        until = rule["UNTIL"][0]
        until = until if isinstance(until, datetime) else datetime.combine(until, time(23, 59, 59))
        until = until.astimezone(of).replace(tzinfo=None) if until.tzinfo else until
        text = ";".join(
            [p for p in text.split(";") if not p.startswith("UNTIL")] + [f"UNTIL={until:%Y%m%dT%H%M%S}"]
        )
    low, high = (edge.astimezone(of).replace(tzinfo=None) for edge in (start, end))
    found = rrulestr(text, dtstart=local).between(low - timedelta(days=1), high + timedelta(days=1), inc=True)
    return [moment.replace(tzinfo=of).astimezone(UTC) for moment in found[: MOST_EVENTS + 1]]


def _moment(value: datetime | date, zone: ZoneInfo) -> datetime:
    if not isinstance(value, datetime):
        value = datetime.combine(value, time())
    return value if value.tzinfo is not None else value.replace(tzinfo=zone)
