"""Silences as people write them: parsed, and checked before they are stored."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from foreshock.silences.matchers import excerpt, parse_matcher
from foreshock.silences.model import ALERT_NAMES, Silence
from foreshock.silences.recurrence import begins
from foreshock_models.errors import ConfigError
from foreshock_pipelines.jobfile import parse_duration
from foreshock_pipelines.jobfile.cron import parse_timezone
from foreshock_pipelines.jobfile.times import parse_time

__all__ = ["LONGEST_REASON", "LONGEST_TIME", "MOST_MATCHERS", "check_silence", "parse_silence"]

EARLIEST, LATEST = 0, round(datetime(2200, 1, 1, tzinfo=UTC).timestamp() * 1000)
AFTERWARDS = timedelta(minutes=1)
"""A silence that starts so long before it is declared was declared afterwards."""
LONGEST_WINDOW = timedelta(days=366)
MOST_MATCHERS, LONGEST_OWNER, LONGEST_REASON, LONGEST_TIME = 50, 128, 2000, 64


def parse_silence(
    matchers: Sequence[str],
    *,
    owner: str,
    reason: str,
    now: datetime,
    start: str = "now",
    end: str | None = None,
    duration: str | None = None,
    rule: str | None = None,
    timezone: str = "UTC",
    exclude: bool | None = None,
) -> Silence:
    """Make a silence of texts that people write.

    Parameters
    ----------
    start, end
        Times as `parse_time` reads them; one without an offset is local to `timezone`.
    duration
        How long a one-off lasts, in place of its end; of a recurring one, how long each window lasts.
    exclude
        Default: where it is declared afterwards, its start in the past, and matches no more than job and labels.

    Raises
    ------
    ConfigError
        See `check_silence`.
    """
    if len(matchers) > MOST_MATCHERS:
        raise ConfigError(f"a silence has at most {MOST_MATCHERS} matchers, this one {len(matchers)}")
    parsed = tuple(parse_matcher(text) for text in matchers)
    if rule is None and end is not None and duration is not None:
        raise ConfigError("say when the silence ends, or how long it lasts, not both; both are for a recurring one")
    zone = _zone(timezone)
    length = _length(duration) if duration is not None else None
    first = _when("start", start, now, zone)
    if end is not None:
        last = _when("end", end, now, zone)
    elif length is not None and rule is None:
        last = first + round(length.total_seconds() * 1000)
    else:
        raise ConfigError("say when the silence ends: a silence without an end is forgotten")
    if exclude is None:
        rows_alone = not any(matcher.name in ALERT_NAMES[1:] for matcher in parsed)
        exclude = rows_alone and _ms(now) - first > AFTERWARDS.total_seconds() * 1000
    return check_silence(
        Silence(
            uuid.uuid4().hex[:12], parsed, first, last, owner, reason, _ms(now), rule=rule,
            duration_s=length.total_seconds() if rule is not None and length is not None else None,
            timezone=timezone, exclude=exclude,
        )
    )  # fmt: skip


def check_silence(silence: Silence) -> Silence:
    """Return the silence if it is valid.

    Raises
    ------
    ConfigError
        It ends before it starts, would silence everything, or its rule, time zone or duration is wrong.
    """
    if not silence.start_ms >= EARLIEST or not silence.end_ms <= LATEST:
        raise ConfigError(f"a silence lies between {_say(EARLIEST)} and {_say(LATEST)}")
    if silence.end_ms <= silence.start_ms:
        raise ConfigError(
            f"the silence ends at {_say(silence.end_ms)}, not after its start {_say(silence.start_ms)}"
        )
    if len(silence.matchers) > MOST_MATCHERS:
        raise ConfigError(f"a silence has at most {MOST_MATCHERS} matchers, this one {len(silence.matchers)}")
    if not any(not matcher.matches({}) for matcher in silence.matchers):
        raise ConfigError(
            "the silence would hold back every alert: at least one matcher must name a value, as in job=node"
        )
    for what, text, most in (("owner", silence.owner, LONGEST_OWNER), ("reason", silence.reason, LONGEST_REASON)):
        if not text.strip():
            raise ConfigError("a silence needs an owner and a reason")
        if len(text) > most:
            raise ConfigError(f"the {what} of a silence has at most {most} characters, this one {len(text)}")
    if (silence.rule is None) != (silence.duration_s is None):
        raise ConfigError("a recurring silence needs a rule and the duration of its windows; a one-off has neither")
    if silence.exclude and (other := [m.name for m in silence.matchers if m.name in ALERT_NAMES[1:]]):
        raise ConfigError(
            f"rows have no {other[0]}: a silence that takes rows out of training matches job and labels"
        )
    _zone(silence.timezone)
    if silence.rule is not None and silence.duration_s is not None:
        if not 0 < silence.duration_s <= LONGEST_WINDOW.total_seconds():
            raise ConfigError(
                f"a window of a recurring silence lasts longer than 0 and at most {LONGEST_WINDOW.days} days"
            )
        begins(silence.rule, silence.timezone, silence.start_ms, silence.end_ms)
    return silence


def _when(what: str, text: str, now: datetime, zone: ZoneInfo) -> int:
    """A time that a person wrote, in ms since the epoch."""
    if len(text) > LONGEST_TIME:
        raise ConfigError(f"the {what} of a silence is not a time: {excerpt(text)}; write now, -3h, or ISO 8601")
    try:
        plain = datetime.fromisoformat(text)
    except ValueError:
        return _ms(parse_time(text, now))
    try:
        return _ms(plain if plain.tzinfo else plain.replace(tzinfo=zone))
    except OverflowError as exc:  # the first or the last day that there is, in another time zone
        raise ConfigError(f"a silence lies between {_say(EARLIEST)} and {_say(LATEST)}") from exc


def _length(text: str) -> timedelta:
    """A duration that a person wrote."""
    try:
        return parse_duration(text[:LONGEST_TIME])
    except OverflowError as exc:
        raise ConfigError(f"the duration {excerpt(text)} is too long: a silence ends by {_say(LATEST)}") from exc
    except ValueError as exc:
        raise ConfigError(f"the duration of a silence: {exc}") from exc


def _zone(name: str) -> ZoneInfo:
    try:
        return parse_timezone(name[:LONGEST_TIME])
    except ValueError as exc:
        raise ConfigError(str(exc)) from exc


def _ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)


def _say(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"
