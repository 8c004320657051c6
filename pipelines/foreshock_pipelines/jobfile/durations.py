"""Durations as Prometheus writes them, and amounts that may be a percentage."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, GetPydanticSchema, PlainSerializer, WithJsonSchema
from pydantic_core import core_schema

from foreshock_pipelines.jobfile.base import shown

__all__ = ["LARGEST", "Amount", "Duration", "Pause", "Timeout", "format_duration", "parse_duration"]

MILLISECOND = timedelta(milliseconds=1)
MAX_LENGTH = 100
"""Characters of a duration or an amount."""
LONGEST = timedelta(days=36500)
"""A hundred years: with any two of them added to now, dates and 64-bit milliseconds do not overflow."""
LARGEST = 1e100
"""Of an amount; its square is still finite."""
UNITS = {"y": 365 * 86400.0, "w": 7 * 86400.0, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
PATTERN = r"^(\d+(?:\.\d+)?(?:ms|[ywdhms]))+$"


def parse_duration(value: Any) -> timedelta:
    """Read ``30s``, ``5m``, ``1h30m``, ``14d``; a bare number counts seconds.

    >>> parse_duration("1h30m")
    datetime.timedelta(seconds=5400)

    Raises
    ------
    ValueError
        Not a duration, or one of more than a hundred years.
    """
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = value
    else:
        text = value.strip() if isinstance(value, str) else ""
        if len(text) > MAX_LENGTH or not re.fullmatch(PATTERN, text, re.ASCII):
            raise ValueError(
                f"{shown(value)} is not a duration; write a number with a unit ({', '.join(UNITS)}), "
                "as in 30s or 1h30m"
            )
        parts = re.findall(r"(\d+(?:\.\d+)?)(ms|[ywdhms])", text)
        seconds = sum(float(number) * UNITS[unit] for number, unit in parts)
    if not abs(seconds) <= LONGEST.total_seconds():  # NaN is not
        raise ValueError(f"{shown(value)} is too long; a duration is at most {LONGEST.days // 365} years")
    return value if isinstance(value, timedelta) else timedelta(seconds=seconds)


def format_duration(value: timedelta) -> str:
    """The shortest way to write a duration: ``1h30m``."""
    rest = round(value.total_seconds() * 1000)
    text = ""
    for unit in ("d", "h", "m", "s", "ms"):
        count, rest = divmod(rest, round(UNITS[unit] * 1000))
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def _positive(value: Any) -> timedelta:
    duration = parse_duration(value)
    if duration <= timedelta(0):
        raise ValueError("a duration must be longer than 0")
    if duration % MILLISECOND:
        raise ValueError(f"{shown(value)} is not a whole number of milliseconds")
    return duration


def _not_negative(value: Any) -> timedelta:
    duration = parse_duration(value)
    return duration if not duration else _positive(value)


def _at_most_an_hour(value: timedelta) -> timedelta:
    if value > timedelta(hours=1):
        raise ValueError(f"{format_duration(value)} is too long to wait for one answer; write at most 1h")
    return value


SCHEMA = WithJsonSchema({"type": ["string", "number"], "pattern": PATTERN, "examples": ["30s", "1h30m", "14d"]})
Duration = Annotated[
    timedelta, BeforeValidator(_positive), PlainSerializer(format_duration, return_type=str), SCHEMA
]  # fmt: skip
Timeout = Annotated[
    timedelta, AfterValidator(_at_most_an_hour), BeforeValidator(_positive),
    PlainSerializer(format_duration, return_type=str), SCHEMA,
]  # fmt: skip
"""A duration that a socket can wait."""
Pause = Annotated[
    timedelta, BeforeValidator(_not_negative), PlainSerializer(format_duration, return_type=str), SCHEMA
]  # fmt: skip
"""A duration that may be 0."""


@dataclass(frozen=True, slots=True)
class _Amount:
    """A number, or a share of something (``percent`` true: value 5 means 5%)."""

    value: float
    percent: bool = False

    def of(self, whole: float) -> float:
        """The amount in units of `whole`."""
        return self.value / 100 * whole if self.percent else self.value

    @property
    def fraction(self) -> float:
        """5% as 0.05; a plain number as it is."""
        return self.value / 100 if self.percent else self.value

    def __str__(self) -> str:
        return f"{self.value:g}%" if self.percent else f"{self.value:g}"


def _parse_amount(value: Any) -> _Amount:
    if isinstance(value, _Amount):
        return value
    text = str(value) if isinstance(value, str | int | float) else ""
    match = len(text) <= MAX_LENGTH and re.fullmatch(
        r"\s*(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*(%?)\s*", text, re.ASCII
    )
    if not match or isinstance(value, bool):
        raise ValueError(f"{shown(value)} is not an amount; write a number, as in 0.2, or a percentage, as in 5%")
    number = float(match[1])
    if not abs(number) <= LARGEST:
        raise ValueError(f"{shown(value)} is too large; an amount is at most {LARGEST:g}")
    return _Amount(number, match[2] == "%")


Amount = Annotated[
    _Amount,
    GetPydanticSchema(lambda *_: core_schema.no_info_plain_validator_function(_parse_amount)),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": ["string", "number"], "examples": [0.2, "5%"]}),
]
