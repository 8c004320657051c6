"""When things are due: cron lines with a time zone, and plain intervals."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apscheduler.triggers.cron import CronTrigger

from foreshock_pipelines.jobfile.base import shown
from foreshock_pipelines.jobfile.durations import format_duration, parse_duration

__all__ = ["next_due", "parse_schedule", "parse_timezone"]

SHORTEST = timedelta(minutes=1)
"""As in a cron line; runs that were missed are counted from the last one."""
LOOK_FROM = datetime(2026, 1, 1, tzinfo=UTC)
MAX_LENGTH = 200
"""Characters of a cron line."""
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


def parse_timezone(name: str) -> ZoneInfo:
    """A time zone by its IANA name; ValueError names what is allowed."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise ValueError(
            f"{shown(name)} is not a known time zone; write an IANA name, as in UTC or Europe/Berlin"
        ) from exc


def parse_schedule(text: str, timezone: str = "UTC") -> CronTrigger | timedelta:
    """A cron line of five fields (0 and 7 are Sunday), or an interval such as ``1h``.

    Raises
    ------
    ValueError
        Neither of the two, or a field out of range.
    """
    fields = text.split() if len(text) <= MAX_LENGTH else []
    if len(fields) != 5:
        interval = parse_duration(text)
        if interval < SHORTEST:
            raise ValueError(f"an interval must be at least {format_duration(SHORTEST)}; got {shown(text)}")
        return interval
    minute, hour, day, month, weekday = fields
    try:
        trigger = CronTrigger(
            minute=minute,
            hour=hour,
            day=day,
            month=month,
            day_of_week=_weekdays(weekday),
            timezone=parse_timezone(timezone),
        )
    except ValueError as exc:
        raise ValueError(f"{shown(text)} is not a cron line (minute hour day month weekday): {exc}") from exc
    if _never(day, month, trigger):
        raise ValueError(f"{shown(text)} never comes: no year has that day")
    return trigger


def _never(day: str, month: str, trigger: CronTrigger) -> bool:
    """True for a 31 February; asked only where a day is named, for the search goes through all years."""
    return day != "*" and month != "*" and trigger.get_next_fire_time(None, LOOK_FROM) is None


def next_due(schedule: CronTrigger | timedelta, after: datetime) -> datetime:
    """The first time later than `after` (UTC)."""
    if isinstance(schedule, timedelta):
        return after + schedule
    fire: datetime | None = schedule.get_next_fire_time(None, after + timedelta(microseconds=1))
    return datetime.max.replace(tzinfo=UTC) if fire is None else fire.astimezone(UTC)


def _weekdays(field: str) -> str:
    """Crontab's weekday field in APScheduler's words: it counts from Monday and knows no range over Sunday."""
    if field.startswith("*"):
        return field
    days: list[str] = []
    for part in field.lower().split(","):
        match = re.fullmatch(r"(\w+)(?:-(\w+))?(?:/(\d{1,2}))?", part, re.ASCII)
        if not match:
            raise ValueError(f"{part!r} is not a weekday")
        first = _weekday(match[1])
        last = _weekday(match[2]) if match[2] else first
        if last < first:
            last += 7
        step = int(match[3] or 1)
        if step == 0:
            raise ValueError(f"{part!r} is not a weekday: a step is at least 1")
        days += [WEEKDAYS[d % 7] for d in range(first, last + 1, step)]
    return ",".join(dict.fromkeys(days))


def _weekday(word: str) -> int:
    if word in "01234567" and len(word) == 1:
        return int(word)
    if word[:3] in WEEKDAYS:
        return WEEKDAYS.index(word[:3])
    raise ValueError(f"{word!r} is not a weekday; write 0-7 (0 and 7 are Sunday) or {', '.join(WEEKDAYS)}")
