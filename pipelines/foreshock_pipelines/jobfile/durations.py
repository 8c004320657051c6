"""Durations as Prometheus writes them, and amounts that may be a percentage."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, GetPydanticSchema, PlainSerializer, WithJsonSchema
from pydantic_core import core_schema

__all__ = ["Amount", "Duration", "format_duration", "parse_duration"]

UNITS = {"y": 365 * 86400.0, "w": 7 * 86400.0, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
PATTERN = r"^(\d+(?:\.\d+)?(?:ms|[ywdhms]))+$"


def parse_duration(value: Any) -> timedelta:
    """Read ``30s``, ``5m``, ``1h30m``, ``14d``; a bare number counts seconds.

    >>> parse_duration("1h30m")
    datetime.timedelta(seconds=5400)
    """
    if isinstance(value, timedelta):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return timedelta(seconds=value)
    text = str(value).strip()
    if not re.match(PATTERN, text):
        raise ValueError(
            f"{text!r} is not a duration; write a number with a unit ({', '.join(UNITS)}), as in 30s or 1h30m"
        )
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|[ywdhms])", text)
    return timedelta(seconds=sum(float(number) * UNITS[unit] for number, unit in parts))


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
    return duration


Duration = Annotated[
    timedelta,
    BeforeValidator(_positive),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": ["string", "number"], "pattern": PATTERN, "examples": ["30s", "1h30m", "14d"]}),
]


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
    match = re.fullmatch(r"\s*(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*(%?)\s*", str(value))
    if not match or isinstance(value, bool):
        raise ValueError(f"{value!r} is not an amount; write a number, as in 0.2, or a percentage, as in 5%")
    return _Amount(float(match[1]), match[2] == "%")


Amount = Annotated[
    _Amount,
    GetPydanticSchema(lambda *_: core_schema.no_info_plain_validator_function(_parse_amount)),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": ["string", "number"], "examples": [0.2, "5%"]}),
]
