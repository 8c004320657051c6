"""Numbers and times as tables show them."""

from __future__ import annotations

import math
from datetime import UTC, datetime

__all__ = ["count", "moment", "number", "share", "span"]


def moment(at: int | str | datetime | None) -> str:
    """A time (UTC; ms since the epoch, or ISO 8601) to the minute, with its year if that is not the present one."""
    if at is None:
        return "–"
    time = datetime.fromtimestamp(at / 1000, UTC) if isinstance(at, int) else at
    time = (datetime.fromisoformat(time) if isinstance(time, str) else time).astimezone(UTC)
    return f"{time:%m-%d %H:%M}" if time.year == datetime.now(UTC).year else f"{time:%Y-%m-%d %H:%M}"


def number(value: float | None) -> str:
    """Four digits; a dash where there is none."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.4g}"


def share(value: float | None, digits: int = 0) -> str:
    """A part of one, in percent; a dash where there is none."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.{digits}%}"


def span(seconds: float) -> str:
    """How long something takes, in the unit that people would say it in."""
    for most, unit, length in ((120, "s", 1), (7200, "min", 60), (172_800, "h", 3600)):
        if seconds < most:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"


def count(number: int, noun: str) -> str:
    """So many things: ``1 entity``, ``2,000 rows``.

    >>> count(1, "entity"), count(3, "entity"), count(2000, "row")
    ('1 entity', '3 entities', '2,000 rows')
    """
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun[:-1]}ies" if noun.endswith("y") else f"{number:,} {noun}s"
