"""Forecast options of a job: horizon, method, and what is known in advance."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from foreshock_pipelines.jobfile.base import Model
from foreshock_pipelines.jobfile.durations import Amount, Duration, parse_duration

__all__ = ["EventConfig", "Exhaustion", "ForecastConfig"]

EARLIEST, LATEST = datetime(1970, 1, 2, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


class ForecastConfig(Model):
    """How a job is forecast."""

    horizon: Duration = Field(parse_duration("24h"), description="how far ahead")
    method: Literal["auto", "arima", "prophet", "seasonal_naive"] = Field(
        "auto", description="auto: what was best in the validation of each series"
    )
    level: float = Field(0.8, gt=0, lt=1, description="of the intervals: 0.8 holds 8 values of 10")
    history: Duration | None = Field(None, description="how much is read; default: the job's history")


class EventConfig(Model):
    """Something known in advance that moves metrics: a sale, a release, a batch run.

    Events of one name share one effect, learnt from those of the past.
    """

    name: str = Field(min_length=1, max_length=63, description="events of one name share one effect")
    start: datetime = Field(description="without a zone: UTC")
    end: datetime = Field(description="without a zone: UTC")

    @field_validator("start", "end")
    @classmethod
    def _aware(cls, value: datetime) -> datetime:
        return value if value.tzinfo else value.replace(tzinfo=UTC)

    @field_validator("start", "end")
    @classmethod
    def _in_our_time(cls, value: datetime) -> datetime:
        if not EARLIEST <= value <= LATEST:
            raise ValueError(f"a time lies between {EARLIEST:%Y-%m-%d} and {LATEST:%Y-%m-%d}")
        return value

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.end <= self.start:
            raise ValueError(f"the event {self.name!r} must end after it starts")
        return self


class Exhaustion(Model):
    """Predict when a value reaches its limit."""

    limit: Amount = Field(
        description="the value at which the resource is used up; a percentage is of the top of valid_range, or of 1"
    )
    within: Duration = Field(parse_duration("24h"), description="how far ahead a predicted alert looks")
    probability: float = Field(0.8, gt=0, lt=1, description="open a predicted alert from this probability on")

    @field_validator("limit")
    @classmethod
    def _not_negative(cls, value: Amount) -> Amount:
        if value.value < 0:
            raise ValueError(f"a limit is a value at which something runs out, at least 0; got {value}")
        return value
