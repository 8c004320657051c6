"""Schedules: who is on call at a moment, and what shifts that makes. Pure: no clock, no store.

An override is valid before all rotations. Else the first rotation counts that has somebody on duty then, who is
not absent. Where nobody is, there is a gap, and it is named as one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from foreshock.oncall.hours import Hours, instant
from foreshock_pipelines.jobfile import Duration
from foreshock_pipelines.jobfile.base import Model
from foreshock_pipelines.jobfile.cron import parse_timezone

__all__ = ["Rotation", "ScheduleConfig", "Shift", "Stretch", "gaps", "next_shift", "on_call", "people_of", "shifts"]

LEAST = timedelta(hours=1)
"""Shorter shifts could overlap where the clock is changed."""
MOST_SHIFTS = 20_000


class Rotation(Model):
    """People who take turns."""

    people: list[str] = Field(min_length=1, max_length=200, description="in the order of their turns")
    start: datetime = Field(description="beginning of the first shift, local to the schedule: 2026-01-05T09:00")
    every: Duration = Field(timedelta(weeks=1), description="length of a shift, in local time")
    hours: list[Hours] = Field(
        default_factory=list, max_length=20, description="hours on duty; default: all the time"
    )

    @field_validator("start")
    @classmethod
    def _local(cls, value: datetime) -> datetime:
        if value.tzinfo is not None:
            raise ValueError("write a local time without an offset; the schedule has a timezone")
        return value

    @field_validator("every")
    @classmethod
    def _long_enough(cls, value: timedelta) -> timedelta:
        if value < LEAST:
            raise ValueError("a shift is at least an hour long")
        return value


class Stretch(Model):
    """A person, and a time range."""

    person: str = Field(description="name of a person")
    start: datetime = Field(description="first moment; local to the schedule, unless it has an offset")
    end: datetime = Field(description="the moment after the last one")

    @model_validator(mode="after")
    def _ordered(self) -> Stretch:
        if (self.start.tzinfo is None) != (self.end.tzinfo is None) or self.start >= self.end:
            raise ValueError("start must be before end, and both with an offset, or both without")
        return self


class ScheduleConfig(Model):
    """Rotations, overrides and absences of one schedule."""

    timezone: str = Field("UTC", description="of its local times: Europe/Berlin")
    rotations: list[Rotation] = Field(
        default_factory=list, max_length=20, description="the first one that has somebody on duty counts"
    )
    overrides: list[Stretch] = Field(default_factory=list, max_length=2000, description="swaps: before rotations")
    absences: list[Stretch] = Field(default_factory=list, max_length=2000, description="holidays: not on call")

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        parse_timezone(value)
        return value

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def people(self) -> set[str]:
        return {name for rotation in self.rotations for name in rotation.people} | {
            each.person for each in [*self.overrides, *self.absences]
        }


@dataclass(frozen=True, slots=True)
class Shift:
    """A time range with who is on call in it; None: a gap."""

    start: datetime
    end: datetime
    person: str | None


def on_call(schedule: ScheduleConfig, at: datetime) -> str | None:
    """Return who is on call at a moment; None: nobody."""
    for override in reversed(schedule.overrides):  # the later one is the newer one
        start, end = _bounds(override, schedule.zone)
        if start <= at < end:
            return override.person
    absent = {each.person for each in schedule.absences if _within(each, schedule.zone, at)}
    for rotation in schedule.rotations:
        person = _of_rotation(rotation, schedule.zone, at)
        if person is not None and person not in absent:
            return person
    return None


def shifts(schedule: ScheduleConfig, start: datetime, end: datetime) -> list[Shift]:
    """Return the shifts of a time range: each moment of it is in exactly one of them."""
    found: list[Shift] = []
    for first, last in pairwise(sorted({start, end, *_edges(schedule, start, end)})):
        person = on_call(schedule, first)
        if found and found[-1].person == person:
            found[-1] = Shift(found[-1].start, last, person)
        else:
            found.append(Shift(first, last, person))
        if len(found) > MOST_SHIFTS:
            break
    return found


def gaps(schedule: ScheduleConfig, start: datetime, end: datetime) -> list[Shift]:
    """Return the shifts of a time range in which nobody is on call."""
    return [shift for shift in shifts(schedule, start, end) if shift.person is None]


# -- rotations ------------------------------------------------------------------------------------------
def _of_rotation(rotation: Rotation, zone: ZoneInfo, at: datetime) -> str | None:
    if rotation.hours and not any(hours.holds(zone, at) for hours in rotation.hours):
        return None
    turn = _turn(rotation, zone, at)
    return None if turn < 0 else rotation.people[turn % len(rotation.people)]


def _turn(rotation: Rotation, zone: ZoneInfo, at: datetime) -> int:
    """Number of the shift that a moment is in; negative before the first one."""
    local = at.astimezone(zone).replace(tzinfo=None)
    turn = (local - rotation.start) // rotation.every
    while _handover(rotation, zone, turn + 1) <= at:  # the clock was set back or forward in between
        turn += 1
    while _handover(rotation, zone, turn) > at:
        turn -= 1
    return turn


def _handover(rotation: Rotation, zone: ZoneInfo, turn: int) -> datetime:
    return instant(rotation.start + turn * rotation.every, zone)


def _edges(schedule: ScheduleConfig, start: datetime, end: datetime) -> Iterator[datetime]:
    """Moments of a time range at which somebody else may be on call."""
    for edge in _all_edges(schedule, start, end):
        if start < edge < end:
            yield edge


def _all_edges(schedule: ScheduleConfig, start: datetime, end: datetime) -> Iterator[datetime]:
    zone = schedule.zone
    for stretch in [*schedule.overrides, *schedule.absences]:
        yield from _bounds(stretch, zone)
    for rotation in schedule.rotations:
        turn = max(0, _turn(rotation, zone, start))
        while (edge := _handover(rotation, zone, turn)) < end:
            yield edge
            turn += 1
        for hours in rotation.hours:
            for span in hours.spans(zone, start, end):
                yield from span


def _bounds(stretch: Stretch, zone: ZoneInfo) -> tuple[datetime, datetime]:
    if stretch.start.tzinfo is not None:
        return stretch.start.astimezone(UTC), stretch.end.astimezone(UTC)
    return instant(stretch.start, zone), instant(stretch.end, zone)


def _within(stretch: Stretch, zone: ZoneInfo, at: datetime) -> bool:
    start, end = _bounds(stretch, zone)
    return start <= at < end


def people_of(schedules: Iterable[ScheduleConfig]) -> set[str]:
    """Names of all people of some schedules."""
    return {name for schedule in schedules for name in schedule.people}


def next_shift(schedule: ScheduleConfig, after: datetime, within: timedelta) -> Shift | None:
    """Return the first shift that has somebody, from a moment on; None if there is none within a time."""
    found: Sequence[Shift] = shifts(schedule, after, after + within)
    return next((shift for shift in found if shift.person is not None), None)
