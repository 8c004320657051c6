"""On-call schedules at each moment of a year, across clock changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from foreshock.oncall.calendar import from_ical, to_ical
from foreshock.oncall.hours import Hours
from foreshock.oncall.schedule import ScheduleConfig, Shift, gaps, next_shift, on_call, shifts
from foreshock_models.errors import ConfigError

BEGIN, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns"]
PEOPLE = ["anna", "ben", "carol"]


def schedule(**more: Any) -> ScheduleConfig:
    fields: dict[str, Any] = {
        "timezone": "Europe/Berlin",
        "rotations": [{"people": PEOPLE, "start": "2026-01-05T09:00", "every": "1w"}],
        **more,
    }
    return ScheduleConfig.model_validate(fields)


def at(text: str, zone: str = "Europe/Berlin") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


moments = st.datetimes(datetime(2025, 12, 1), datetime(2027, 2, 1)).map(
    lambda d: d.replace(second=0, microsecond=0)
)
hours = st.builds(
    lambda days, begin, end: Hours(days=sorted(days), begin=begin, end=end),
    st.sets(st.sampled_from(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]), min_size=1),
    st.sampled_from(["00:00", "02:30", "09:00", "22:00"]),
    st.sampled_from(["24:00", "02:00", "17:00", "08:00"]),
)
stretches = st.builds(
    lambda person, start, length: {"person": person, "start": start, "end": start + timedelta(hours=length)},
    st.sampled_from(PEOPLE), moments, st.integers(1, 500),
)  # fmt: skip
schedules = st.builds(
    lambda zone, rotations, overrides, absences: ScheduleConfig.model_validate(
        {"timezone": zone, "rotations": rotations, "overrides": overrides, "absences": absences}
    ),
    st.sampled_from(ZONES),
    st.lists(
        st.builds(
            lambda people, start, every, on: {
                "people": people, "start": start, "every": timedelta(hours=every), "hours": on,
            },
            st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=3), moments,
            st.sampled_from([8, 12, 24, 84, 168, 336]), st.lists(hours, max_size=2),
        ),
        max_size=2,
    ),
    st.lists(stretches, max_size=3), st.lists(stretches, max_size=3),
)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(schedules, st.lists(st.integers(0, 365 * 24 * 60 - 1), min_size=20, max_size=20))
def test_at_each_moment_of_a_year_one_is_on_call_or_the_gap_is_named(
    config: ScheduleConfig, minutes: list[int]
) -> None:
    found = shifts(config, BEGIN, END)
    assert (found[0].start, found[-1].end) == (BEGIN, END)
    assert all(first.end == second.start for first, second in pairwise(found))
    assert all(shift.start < shift.end for shift in found)
    for minute in minutes:
        moment = BEGIN + timedelta(minutes=minute)
        (shift,) = [s for s in found if s.start <= moment < s.end]
        assert shift.person == on_call(config, moment)
    assert gaps(config, BEGIN, END) == [s for s in found if s.person is None]


def test_shifts_are_handed_over_at_the_same_local_time_in_summer_and_in_winter() -> None:
    handed = {shift.start.astimezone(ZoneInfo("Europe/Berlin")).strftime("%a %H:%M")
              for shift in shifts(schedule(), at("2026-01-05T09:00"), at("2026-12-28T09:00"))}  # fmt: skip
    assert handed == {"Mon 09:00"}


@pytest.mark.parametrize(
    ("moment", "person"),
    [
        ("2026-01-05T08:59", None), ("2026-01-05T09:00", "anna"), ("2026-01-12T09:00", "ben"),
        ("2026-03-30T08:59", "carol"), ("2026-03-30T09:00", "anna"),
    ],
)  # fmt: skip
def test_people_take_turns_from_the_start_on(moment: str, person: str | None) -> None:
    assert on_call(schedule(), at(moment)) == person


def test_an_override_is_valid_before_rotations_and_an_absence_leaves_it_to_the_next_one() -> None:
    config = schedule(
        rotations=[
            {"people": ["anna"], "start": "2026-01-01T00:00"}, {"people": ["ben"], "start": "2026-01-01T00:00"},
        ],
        overrides=[{"person": "carol", "start": "2026-02-01T00:00", "end": "2026-02-02T00:00"}],
        absences=[{"person": "anna", "start": "2026-02-01T12:00", "end": "2026-02-03T00:00"}],
    )  # fmt: skip
    found = shifts(config, at("2026-01-31T00:00"), at("2026-02-04T00:00"))
    assert [shift.person for shift in found] == ["anna", "carol", "ben", "anna"]


def test_a_rotation_of_working_hours_leaves_nights_as_gaps() -> None:
    config = schedule(
        rotations=[
            {"people": ["anna"], "start": "2026-01-01T00:00",
             "hours": [{"days": ["mon", "tue", "wed", "thu", "fri"], "from": "09:00", "to": "17:00"}]},
        ]
    )  # fmt: skip
    week = gaps(config, at("2026-06-01T00:00"), at("2026-06-08T00:00"))
    assert len(week) == 6
    after = next_shift(config, at("2026-06-05T18:00"), timedelta(days=7))
    assert after is not None and after.start == at("2026-06-08T09:00")


@pytest.mark.parametrize(
    ("begin", "end", "moment", "inside"),
    [
        ("22:00", "07:00", "2026-06-01T23:00", True), ("22:00", "07:00", "2026-06-02T06:59", True),
        ("22:00", "07:00", "2026-06-02T07:00", False), ("00:00", "24:00", "2026-03-29T03:30", True),
        ("02:00", "03:00", "2026-03-29T03:00", False), ("02:00", "03:00", "2026-10-25T02:30", True),
    ],
)  # fmt: skip
def test_hours_go_over_midnight_and_over_changes_of_the_clock(
    begin: str, end: str, moment: str, inside: bool
) -> None:
    hours = Hours(begin=begin, end=end)
    assert hours.holds(ZoneInfo("Europe/Berlin"), at(moment)) is inside


def test_a_schedule_written_as_a_calendar_is_read_back_as_the_same_shifts() -> None:
    config = schedule(absences=[{"person": "ben", "start": "2026-03-20T00:00", "end": "2026-03-31T00:00"}])
    start, end = at("2026-03-01T00:00"), at("2026-05-01T00:00")
    made = to_ical("primary", shifts(config, start, end), BEGIN)
    again = from_ical(made, ZoneInfo("Europe/Berlin"), start, end)
    assert [Shift(s.start.astimezone(UTC), s.end.astimezone(UTC), s.person) for s in again] == [
        shift for shift in shifts(config, start, end) if shift.person is not None
    ]


RECURRING = b"""BEGIN:VCALENDAR\r
VERSION:2.0\r
PRODID:-//x//y//EN\r
BEGIN:VEVENT\r
UID:1\r
DTSTAMP:20260101T000000Z\r
DTSTART;TZID=Europe/Berlin:20260323T090000\r
DTEND;TZID=Europe/Berlin:20260323T170000\r
RRULE:FREQ=WEEKLY;COUNT=3\r
SUMMARY:anna\r
END:VEVENT\r
END:VCALENDAR\r
"""


def test_recurring_events_of_a_calendar_keep_their_local_time() -> None:
    found = from_ical(RECURRING, ZoneInfo("UTC"), at("2026-03-01T00:00"), at("2026-05-01T00:00"))
    assert [f"{s.start.astimezone(UTC):%m-%d %H}" for s in found] == ["03-23 08", "03-30 07", "04-06 07"]


@pytest.mark.parametrize(
    "data",
    [b"", b"no calendar", RECURRING.replace(b"WEEKLY", b"SECONDLY"), RECURRING.replace(b"T170000", b"T070000")],
)  # fmt: skip
def test_what_is_no_calendar_is_one_error(data: bytes) -> None:
    with pytest.raises(ConfigError, match="calendar"):
        from_ical(data, ZoneInfo("UTC"), BEGIN, END)


@pytest.mark.parametrize(
    "wrong",
    [
        {"timezone": "Mars/Base"}, {"rotations": [{"people": [], "start": "2026-01-01T00:00"}]},
        {"rotations": [{"people": ["a"], "start": "2026-01-01T00:00Z"}]},
        {"rotations": [{"people": ["a"], "start": "2026-01-01T00:00", "every": "5m"}]},
        {"overrides": [{"person": "a", "start": "2026-01-02T00:00", "end": "2026-01-01T00:00"}]},
    ],
)  # fmt: skip
def test_a_schedule_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        schedule(**wrong)
