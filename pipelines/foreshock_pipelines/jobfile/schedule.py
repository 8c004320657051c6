"""``schedule:`` of a job file: when its runs are due."""

from __future__ import annotations

from pydantic import Field, field_validator

from foreshock_pipelines.jobfile.base import Model
from foreshock_pipelines.jobfile.cron import parse_schedule, parse_timezone
from foreshock_pipelines.jobfile.durations import Duration

__all__ = ["Schedule"]


class Schedule(Model):
    """Cron lines (``0 3 * * *``) or intervals (``1h``); null never."""

    score: Duration | None = Field(None, description="default: the job's step")
    train: str | None = Field("0 3 * * *", description="training of a challenger")
    tune: str | None = Field(None, description="search for better detector settings, and training with them")
    forecast: str | None = Field(None, description="forecasts, as the section `forecast` asks")
    train_on_drift: float | None = Field(
        None,
        gt=0,
        le=1000,
        description="train when a feature's population stability index over a day reaches this: 0.25",
    )
    timezone: str = Field("UTC", description="for cron lines")

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        parse_timezone(value)
        return value

    @field_validator("train", "tune", "forecast")
    @classmethod
    def _cron_or_interval(cls, value: str | None) -> str | None:
        if value is not None:
            parse_schedule(value)
        return value
