"""Recurring windows: a part of iCalendar's RRULE (RFC 5545), checked before it is expanded.

Windows begin at the same local time on both sides of a change of daylight saving time. A local time that a change
skips counts with the offset from before it, one that comes twice is the first of the two, as the RFC says. A rule
by the hour follows the hours that pass: a skipped hour has no window, one that comes twice has two.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from dateutil import rrule

from foreshock.silences.matchers import excerpt
from foreshock_models.errors import ConfigError
from foreshock_pipelines.jobfile.cron import parse_timezone

__all__ = ["MOST_WINDOWS", "begins", "parse_rule"]

MOST_WINDOWS = 2000
LONGEST_RULE = 500
FREQUENCIES = {name: getattr(rrule, name) for name in ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY")}
WEEKDAYS = {name: getattr(rrule, name) for name in ("MO", "TU", "WE", "TH", "FR", "SA", "SU")}
NUMBERS = {
    "INTERVAL": (1, 1000), "COUNT": (1, MOST_WINDOWS), "BYMONTH": (1, 12), "BYMONTHDAY": (-31, 31),
    "BYHOUR": (0, 23), "BYMINUTE": (0, 59), "BYSETPOS": (-31, 31),
}  # fmt: skip
"""Key to its range; 0 is none of those that count from the end, too."""
ONE = ("INTERVAL", "COUNT")
KEYS = ("FREQ", *NUMBERS, "BYDAY", "WKST")
ALLOWED = (
    f"allowed are FREQ ({', '.join(FREQUENCIES)}), "
    + ", ".join(f"{key} ({low} to {high})" for key, (low, high) in NUMBERS.items())
    + f", BYDAY ({', '.join(WEEKDAYS)}; 2TU or -1FR with MONTHLY and YEARLY) and WKST; each once, lists without "
    "repetition, as in FREQ=WEEKLY;BYDAY=SU"
)
MOST_A_DAY = 288
MOST_POSITIONS = 12
DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
CYCLE = 400
"""Years after which the calendar repeats, weekdays and all."""


def parse_rule(text: str) -> dict[str, Any]:
    """Read an RRULE without DTSTART and UNTIL; gives arguments of `dateutil.rrule.rrule`.

    Raises
    ------
    ConfigError
        A key that is not allowed or comes twice, a value out of its range, or a combination that the RFC excludes.
    """
    if len(text) > LONGEST_RULE:
        raise ConfigError(f"an RRULE has at most {LONGEST_RULE} characters, this one {len(text)}")
    given: dict[str, str] = {}
    for part in re.sub(r"^RRULE:", "", text.strip().upper()).split(";"):
        key, sign, value = part.strip().partition("=")
        if key in ("UNTIL", "DTSTART"):
            raise _wrong(text, "the silence's own start and end say from when to when")
        if key not in KEYS or not sign:
            raise _wrong(text, f"{excerpt(part)} is none of its parts")
        if key in given:
            raise _wrong(text, f"{key} is there twice")
        given[key] = value
    if given.get("FREQ") not in FREQUENCIES:
        raise _wrong(text, f"no FREQ of {', '.join(FREQUENCIES)}")
    _check_together(text, given)
    arguments: dict[str, Any] = {"freq": FREQUENCIES[given["FREQ"]], "wkst": rrule.MO}
    for key, value in given.items():
        if key in NUMBERS:
            found = _numbers(text, key, value)
            arguments[key.lower()] = found[0] if key in ONE else found
        elif key == "BYDAY":
            arguments["byweekday"] = _days(text, given, value)
        elif key == "WKST":
            if value not in WEEKDAYS:
                raise _wrong(text, f"WKST is one of {', '.join(WEEKDAYS)}")
            arguments["wkst"] = WEEKDAYS[value]
    _check_cost(text, arguments)
    return arguments


@lru_cache(maxsize=10_000)  # as many as may be in force: what looks up windows in a transaction finds them here
def begins(text: str, timezone: str, start_ms: int, end_ms: int) -> array[int]:
    """Return when the windows of a rule begin, from `start_ms` until before `end_ms`; ms since the epoch.

    Raises
    ------
    ConfigError
        See `parse_rule`; none, or more than `MOST_WINDOWS`.
    """
    zone = parse_timezone(timezone)
    hourly = parse_rule(text)["freq"] == rrule.HOURLY
    first, last = _local(start_ms, zone), _local(end_ms, zone)
    found: set[int] = set()
    for local in _expand(text, first, last):
        times = _instants(local, zone, both=hourly) | ({start_ms} if local == first else set())
        found |= {ms for ms in times if start_ms <= ms < end_ms}
        if len(found) > MOST_WINDOWS:
            raise _wrong(
                text,
                f"more than {MOST_WINDOWS} windows; let it end sooner, or recur less often",
            )
    if not found:
        raise _wrong(text, "it gives no window between the silence's start and end")
    return array("q", sorted(found))


def _expand(text: str, first: datetime, last: datetime) -> Iterator[datetime]:
    """Local times of a rule, up to `last`.

    Where nothing matches, dateutil goes on to the year 9999, for many seconds. The calendar repeats every 400
    years: dateutil is asked about years so far ahead that it has not far to go.
    """
    ahead = (datetime.max.year - last.year) // CYCLE * CYCLE
    try:
        rule = rrule.rrule(dtstart=first.replace(year=first.year + ahead), **parse_rule(text))
    except ValueError as exc:
        raise _wrong(text, str(exc)) from exc
    try:
        for found in rule:
            local = found.replace(year=found.year - ahead)
            if local > last:
                return
            yield local
    except (ValueError, OverflowError):  # a week that goes beyond the year 9999: nothing was found until there
        return


def _instants(local: datetime, zone: ZoneInfo, *, both: bool) -> set[int]:
    """When a local time is, ms since the epoch: once; or, with `both`, as often as a clock shows it."""
    times = [local.replace(tzinfo=zone, fold=fold) for fold in (0, 1)]
    if not both:
        return {_ms(times[0])}
    shown = [t for t in times if t.astimezone(UTC).astimezone(zone).replace(tzinfo=None, fold=0) == local]
    return {_ms(t) for t in shown}


def _check_together(text: str, given: dict[str, str]) -> None:
    """Combinations without a meaning, or with one that dateutil has not."""
    slow = given["FREQ"] in ("YEARLY", "MONTHLY")
    if "BYSETPOS" in given and not slow:
        raise _wrong(text, "BYSETPOS goes with MONTHLY and YEARLY")
    if "BYMONTHDAY" in given and given["FREQ"] == "WEEKLY":
        raise _wrong(text, "BYMONTHDAY does not go with WEEKLY")
    numbered = [day for day in given.get("BYDAY", "").split(",") if len(day) > 2]
    if numbered and not slow:
        raise _wrong(text, f"BYDAY={numbered[0]} goes with MONTHLY and YEARLY")
    if numbered and len(numbered) < len(given["BYDAY"].split(",")):
        raise _wrong(text, "BYDAY has days with a number or without, not both; write two silences")


def _check_cost(text: str, arguments: dict[str, Any]) -> None:
    """Refuse what would be expanded for long, and for nothing."""
    hours = arguments.get("byhour", range(24 if arguments["freq"] == rrule.HOURLY else 1))
    if len(hours) * len(arguments.get("byminute", (0,))) > MOST_A_DAY:
        raise _wrong(text, f"more than {MOST_A_DAY} windows a day")
    if len(arguments.get("bysetpos", ())) > MOST_POSITIONS:
        raise _wrong(text, f"BYSETPOS takes at most {MOST_POSITIONS} numbers")
    days = [DAYS[month - 1] for month in arguments.get("bymonth", range(1, 13))]
    if not any(abs(day) <= most for day in arguments.get("bymonthday", (1,)) for most in days):
        raise _wrong(text, "it gives no window: none of these months has such a day")


def _numbers(text: str, key: str, value: str) -> tuple[int, ...]:
    low, high = NUMBERS[key]
    words = value.split(",")
    found = [int(word) for word in words if re.fullmatch(r"[+-]?[0-9]{1,4}", word)]
    right = [number for number in found if low <= number <= high and (number != 0 or low == 0)]
    if len(right) < len(words) or len(set(right)) < len(right) or (key in ONE and len(right) > 1):
        many = "a whole number" if key in ONE else "whole numbers, each once,"
        zero = " without 0" if low < 0 else ""
        raise _wrong(text, f"{key} takes {many} from {low} to {high}{zero}")
    return tuple(right)


def _days(text: str, given: dict[str, str], value: str) -> list[Any]:
    most = 53 if given["FREQ"] == "YEARLY" and "BYMONTH" not in given else 5
    found = []
    for word in value.split(","):
        match = re.fullmatch(r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)", word)
        number = int(match[1]) if match and match[1] else None
        if match is None or (number is not None and not 1 <= abs(number) <= most):
            raise _wrong(text, f"BYDAY={excerpt(word)[1:-1]} is not a day; with a number it is from 1 to {most}")
        found.append(WEEKDAYS[match[2]](number))
    if len(set(map(repr, found))) < len(found):
        raise _wrong(text, "BYDAY names a day twice")
    return found


def _wrong(text: str, why: str) -> ConfigError:
    return ConfigError(f"{excerpt(text)} is not a valid RRULE for a silence: {why}; {ALLOWED}")


def _local(ms: int, zone: ZoneInfo) -> datetime:
    local = datetime.fromtimestamp(ms / 1000, UTC).astimezone(zone)
    return local.replace(tzinfo=None, fold=0, microsecond=0)


def _ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)
