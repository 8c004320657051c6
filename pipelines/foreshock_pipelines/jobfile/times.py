"""Points in time as people write them on a command line."""

from __future__ import annotations

from datetime import UTC, datetime

from foreshock_models.errors import ConfigError
from foreshock_pipelines.jobfile.durations import parse_duration

__all__ = ["parse_time"]


def parse_time(text: str | datetime, now: datetime) -> datetime:
    """Read ``now``, ``-14d`` (before `now`), an ISO 8601 text (UTC unless it says otherwise), or epoch seconds.

    >>> parse_time("-90m", datetime(2026, 3, 2, 12, tzinfo=UTC)).isoformat()
    '2026-03-02T10:30:00+00:00'

    Raises
    ------
    ConfigError
        None of these.
    """
    if isinstance(text, datetime):
        return text if text.tzinfo else text.replace(tzinfo=UTC)
    word = text.strip()
    try:
        if word == "now":
            return now
        if word.startswith("-"):
            return now - parse_duration(word[1:])
        if word.replace(".", "", 1).isdigit() and len(word) > 8:
            return datetime.fromtimestamp(float(word), UTC)
        time = datetime.fromisoformat(word)
    except (ValueError, OverflowError) as exc:
        raise ConfigError(
            f"{text!r} is not a time; write 'now', '-14d', '2026-03-01', '2026-03-01T12:00:00Z' or epoch seconds"
        ) from exc
    return time if time.tzinfo else time.replace(tzinfo=UTC)
