"""``alerts:`` of a job file: when scores become an alert."""

from __future__ import annotations

import re
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from foreshock_pipelines.jobfile.base import Model, shown
from foreshock_pipelines.jobfile.durations import Duration, parse_duration

__all__ = ["AlertConfig"]


class Votes(Model):
    """``3 of 5``: so many of the last so many rows must be anomalous."""

    needed: int = Field(ge=1, le=32)
    of: int = Field(ge=1, le=32)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.needed > self.of:
            raise ValueError(
                f"{self.needed} of {self.of} can never happen; the first number must not be above the second"
            )
        return self

    def __str__(self) -> str:
        return f"{self.needed} of {self.of}"


def _votes(value: Any) -> Any:
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d{1,4})\s*of\s*(\d{1,4})\s*", value, re.ASCII)
        if not match:
            raise ValueError(f"{shown(value)} is not of the form 'N of M'; write for example '3 of 5'")
        return {"needed": int(match[1]), "of": int(match[2])}
    return value


class AlertConfig(Model):
    """When scores become an alert. It applies after scoring: changing it needs no training."""

    for_: Annotated[
        Votes,
        BeforeValidator(_votes),
        PlainSerializer(str, return_type=str),
        WithJsonSchema({"type": "string", "pattern": r"^\d+ of \d+$", "examples": ["3 of 5"]}),
    ] = Field(Votes(needed=3, of=5), alias="for", description="open when N of the last M rows score >= 1")
    resolve_after: Duration = Field(
        parse_duration("10m"), description="resolve after so long without an anomalous row"
    )
    absent_after: Duration | None = Field(
        parse_duration("5m"), description="alert when an entity has sent nothing for so long; null never"
    )
    forget_after: Duration = Field(
        parse_duration("7d"), description="an entity that is absent for so long is taken as decommissioned"
    )
    while_warming: bool = Field(
        False, description="alert on entities that are new, or just back after a gap, before they are warm"
    )
