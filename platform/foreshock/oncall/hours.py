"""Hours of the day and days of the week in a time zone, over changes of the clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from foreshock_pipelines.jobfile.base import Model

__all__ = ["DAYS", "Hours", "instant"]

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Clock = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$|^24:00$")]


class Hours(Model):
    """A part of the days of a week; one that ends before it begins goes over midnight."""

    days: list[Day] = Field(list(DAYS), min_length=1, max_length=7, description="days on which it begins")
    begin: Clock = Field("00:00", alias="from", description="local time: 22:00")
    end: Clock = Field("24:00", alias="to", description="local time; before `from`: on the next day")

    @field_validator("days")
    @classmethod
    def _once(cls, value: list[Day]) -> list[Day]:
        if len(set(value)) < len(value):
            raise ValueError("a day is named twice")
        return value

    def spans(self, zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Stretches of it, in UTC, that touch a time range."""
        day = start.astimezone(zone).date() - timedelta(days=1)
        last = end.astimezone(zone).date()
        while day <= last:
            if DAYS[day.weekday()] in self.days:
                first = instant(_on(day, self.begin), zone)
                until = _on(day, self.end)
                if self.end <= self.begin:
                    until += timedelta(days=1)
                over = instant(until, zone)
                if first < over and over > start and first < end:
                    yield first, over
            day += timedelta(days=1)

    def holds(self, zone: ZoneInfo, at: datetime) -> bool:
        """True if a moment is in it."""
        return any(first <= at < over for first, over in self.spans(zone, at, at + timedelta(seconds=1)))

    def over_at(self, zone: ZoneInfo, at: datetime) -> datetime | None:
        """When the stretch ends that a moment is in; None if it is in none."""
        return next(
            (over for first, over in self.spans(zone, at, at + timedelta(seconds=1)) if first <= at < over), None
        )


def instant(local: datetime, zone: ZoneInfo) -> datetime:
    """Return the moment, in UTC, of a local time; the first of two, and just after a gap for one that is in it."""
    return local.replace(tzinfo=zone, fold=0).astimezone(UTC)


def _on(day: date, clock: str) -> datetime:
    if clock == "24:00":
        return datetime.combine(day + timedelta(days=1), time())
    return datetime.combine(day, time.fromisoformat(clock))
