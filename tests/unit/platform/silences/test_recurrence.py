"""Rules of recurring silences: what is allowed, when windows begin, and that nothing takes long."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from foreshock.silences.recurrence import MOST_WINDOWS, begins
from foreshock_models.errors import ConfigError


def ms(text: str, zone: str = "UTC") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def local(starts: object, zone: str) -> list[str]:
    """Local times with their offset."""
    return [f"{datetime.fromtimestamp(s / 1000, ZoneInfo(zone)):%m-%d %H:%M %z}" for s in starts]  # type: ignore[attr-defined]


YEAR = (ms("2026-01-01T00:00"), ms("2027-01-01T00:00"))
LISTS = ",".join(["0"] * 200)


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL takes a whole number from 1 to 1000"),
        ("FREQ=DAILY;INTERVAL=-1", "INTERVAL"),
        ("FREQ=DAILY;INTERVAL=99999999999999999999", "INTERVAL"),
        ("FREQ=DAILY;INTERVAL=1,2", "INTERVAL"),
        ("FREQ=DAILY;INTERVAL=٣", "INTERVAL"),
        ("FREQ=DAILY;INTERVAL=", "INTERVAL"),
        ("FREQ=DAILY;COUNT=0", "COUNT"),
        ("FREQ=DAILY;COUNT=1000000000", "COUNT"),
        ("FREQ=DAILY;FREQ=SECONDLY", "FREQ is there twice"),
        ("FREQ=DAILY;BYHOUR=1;BYHOUR=2", "BYHOUR is there twice"),
        ("FREQ=SECONDLY", "no FREQ of YEARLY"),
        ("FREQ=MINUTELY", "no FREQ of YEARLY"),
        ("INTERVAL=2", "no FREQ of YEARLY"),
        ("FREQ=YEARLY;BYEASTER=0", "'BYEASTER=0' is none of its parts"),
        ("FREQ=DAILY;BYSECOND=0,1,2", "'BYSECOND=0,1,2' is none of its parts"),
        ("FREQ=YEARLY;BYWEEKNO=20", "'BYWEEKNO=20' is none of its parts"),
        ("FREQ=DAILY;BYHOUR=24", "BYHOUR takes whole numbers, each once, from 0 to 23"),
        ("FREQ=DAILY;BYHOUR=1,1", "each once"),
        ("FREQ=MONTHLY;BYMONTHDAY=0", "from -31 to 31 without 0"),
        ("FREQ=MONTHLY;BYMONTHDAY=32", "BYMONTHDAY"),
        ("FREQ=MONTHLY;BYDAY=6MO", "from 1 to 5"),
        ("FREQ=YEARLY;BYDAY=54MO", "from 1 to 53"),
        ("FREQ=MONTHLY;BYDAY=99999999999MO", "is not a day"),
        ("FREQ=MONTHLY;BYDAY=1MO,TU", "write two silences"),
        ("FREQ=WEEKLY;BYDAY=1MO", "goes with MONTHLY and YEARLY"),
        ("FREQ=WEEKLY;BYDAY=MO,MO", "a day twice"),
        ("FREQ=WEEKLY;BYMONTHDAY=1", "does not go with WEEKLY"),
        ("FREQ=DAILY;BYSETPOS=1", "goes with MONTHLY and YEARLY"),
        ("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=" + ",".join(map(str, range(1, 14))), "at most 12 numbers"),
        ("FREQ=WEEKLY;WKST=XX", "WKST"),
        ("FREQ=DAILY;UNTIL=20260101T000000Z", "own start and end"),
        ("DTSTART:20260101T000000\nRRULE:FREQ=DAILY", "none of its parts"),
        ("FREQ=DAILY\nRRULE:FREQ=DAILY", "no FREQ"),
        ("RRULE:FREQ=DAILY;X=1", "none of its parts"),
        ("FREQ=HOURLY;INTERVAL=24;BYHOUR=5", "empty set"),
        ("FREQ=HOURLY", f"more than {MOST_WINDOWS} windows"),
        ("FREQ=DAILY;BYHOUR=0,1,2,3,4,5;BYMINUTE=0,5,10,15,20", f"more than {MOST_WINDOWS} windows"),
        ("FREQ=DAILY;BYHOUR=" + LISTS, "each once"),
        ("FREQ=YEARLY;BYHOUR=0,1,2,3,4,5;BYMINUTE=" + ",".join(map(str, range(60))), "more than 288 windows a day"),
        ("FREQ=DAILY;BYHOUR=" + LISTS * 3, "at most 500 characters"),
    ],
)
def test_a_rule_that_cannot_be_names_what_is_wrong_and_what_is_allowed(rule: str, says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        begins(rule, "UTC", *YEAR)
    assert says in str(raised.value)
    assert "FREQ=WEEKLY;BYDAY=SU" in str(raised.value) or "500 characters" in says


NEVER = [
    "FREQ={};BYMONTH=2;BYMONTHDAY=30",
    "FREQ={};BYMONTH=4;BYMONTHDAY=31;BYHOUR=3;BYMINUTE=0,30",
    "FREQ=YEARLY;INTERVAL=4;BYMONTH=2;BYMONTHDAY=29",
    "FREQ=MONTHLY;BYMONTHDAY=1;BYSETPOS=2",
    "FREQ=YEARLY;BYMONTHDAY=1;BYMONTH=1;BYSETPOS=" + ",".join(map(str, range(2, 14))),
    "FREQ=MONTHLY;BYDAY=5MO;BYMONTHDAY=1",
    "FREQ=DAILY;INTERVAL=7;BYDAY=MO",
    "FREQ=HOURLY;INTERVAL=168;BYDAY=MO",
    "FREQ=HOURLY;INTERVAL=48;BYMONTHDAY=-31;BYMONTH=4,6",
]


@pytest.mark.parametrize("rule", [r.format(f) for r in NEVER for f in ("YEARLY", "MONTHLY", "DAILY", "HOURLY")])
def test_a_rule_that_never_matches_is_refused_at_once(rule: str) -> None:
    began = time.thread_time()
    with pytest.raises(ConfigError, match="no window"):
        begins(rule, "Europe/Berlin", ms("2026-01-01T03:05"), ms("2100-01-01T00:00"))
    assert time.thread_time() - began < 0.5


def test_windows_that_begin_when_the_silence_does_are_counted_from_its_very_start() -> None:
    start = ms("2026-03-01T02:30") + 700  # in the midst of a second
    assert list(begins("FREQ=DAILY;COUNT=2", "UTC", start, YEAR[1])) == [start, ms("2026-03-02T02:30")]


def test_a_daily_window_keeps_its_local_time_over_the_year() -> None:
    starts = begins(
        "FREQ=MONTHLY;BYMONTHDAY=1", "America/New_York", ms("2026-01-01T22:00", "America/New_York"), YEAR[1]
    )
    assert {text[6:11] for text in local(starts, "America/New_York")} == {"22:00"}


def test_of_an_hour_that_comes_twice_there_are_two_hourly_windows_and_of_a_skipped_one_none() -> None:
    autumn = begins("FREQ=HOURLY", "Europe/Berlin", ms("2026-10-24T23:10"), ms("2026-10-25T02:30"))
    assert local(autumn, "Europe/Berlin") == [
        "10-25 01:10 +0200", "10-25 02:10 +0200", "10-25 02:10 +0100", "10-25 03:10 +0100",
    ]  # fmt: skip
    spring = begins("FREQ=HOURLY", "Europe/Berlin", ms("2026-03-29T00:10"), ms("2026-03-29T02:30"))
    assert local(spring, "Europe/Berlin") == ["03-29 01:10 +0100", "03-29 03:10 +0200", "03-29 04:10 +0200"]


def test_no_window_begins_before_a_silence_that_starts_in_an_hour_that_comes_twice() -> None:
    start = ms("2026-10-25T01:30")  # 02:30 in Berlin for the second time
    assert begins("FREQ=DAILY;COUNT=1", "Europe/Berlin", start, YEAR[1])[0] == start


FREQUENCY = st.sampled_from(["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY"])


@settings(deadline=None, max_examples=200)
@given(
    FREQUENCY, st.integers(1, 40), st.lists(st.integers(1, 12), unique=True, min_size=1, max_size=3),
    st.lists(st.sampled_from(["MO", "TU", "WE", "TH", "FR", "SA", "SU"]), unique=True, min_size=1, max_size=4),
    st.datetimes(datetime(1970, 1, 2), datetime(2190, 1, 1)), st.integers(1, 900),
)  # fmt: skip
def test_windows_are_those_of_dateutil(
    freq: str, interval: int, months: list[int], days: list[str], start: datetime, length: int
) -> None:
    start = start.replace(microsecond=0)
    end = start + timedelta(length)
    rule = f"FREQ={freq};INTERVAL={interval};BYMONTH={','.join(map(str, months))};BYDAY={','.join(days)}"
    span = epoch(start), epoch(end)
    expected = [epoch(at) for at in rrulestr(rule, dtstart=start).between(start, end, inc=True) if at < end]
    if not 0 < len(expected) <= MOST_WINDOWS:
        with pytest.raises(ConfigError):
            begins(rule, "UTC", *span)
    else:
        assert list(begins(rule, "UTC", *span)) == expected


def epoch(utc: datetime) -> int:
    return round(utc.replace(tzinfo=UTC).timestamp() * 1000)
