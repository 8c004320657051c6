"""Points in time as people write them on a command line."""

from __future__ import annotations

from datetime import UTC, datetime

from foreshock_models.errors import ConfigError
from foreshock_pipelines.jobfile.base import shown
from foreshock_pipelines.jobfile.durations import parse_duration

__all__ = ["parse_time"]

EARLIEST, LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""With the longest duration added or taken away, dates do not overflow."""


def parse_time(text: str | datetime, now: datetime) -> datetime:
    """Read ``now``, ``-14d`` (before `now`), an ISO 8601 text (UTC unless it says otherwise), or epoch seconds.

    >>> parse_time("-90m", datetime(2026, 3, 2, 12, tzinfo=UTC)).isoformat()
    '2026-03-02T10:30:00+00:00'

    Raises
    ------
    ConfigError
        None of these, or centuries away.
    """
    time = text if isinstance(text, datetime) else _parsed(text, now)
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    if not EARLIEST <= time <= LATEST:
        raise ConfigError(f"{shown(str(text))} is out of range; write a time from {EARLIEST:%Y} to {LATEST:%Y}")
    return time


def _parsed(text: str, now: datetime) -> datetime:
    word = text.strip()
    try:
        if word == "now":
            return now
        if word.startswith("-"):
            return now - parse_duration(word[1:])
        if word.replace(".", "", 1).isdigit() and len(word) > 8:
            return datetime.fromtimestamp(float(word), UTC)
        return datetime.fromisoformat(word)
    except (ValueError, OverflowError) as exc:
        raise ConfigError(
            f"{shown(text)} is not a time; write 'now', '-14d', '2026-03-01', "
            "'2026-03-01T12:00:00Z' or epoch seconds"
        ) from exc
