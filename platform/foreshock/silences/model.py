"""Silences and maintenance windows: which alerts are held back, and when.

A silence has matchers as Alertmanager's, and one window of time or a recurring one. Its end is required.
"""

from __future__ import annotations

import bisect
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol
from zoneinfo import ZoneInfo

from foreshock.clock import iso
from foreshock.silences.matchers import Matcher, excerpt, parse_matcher
from foreshock.silences.recurrence import begins
from foreshock_models.errors import ConfigError
from foreshock_pipelines.jobfile import parse_duration
from foreshock_pipelines.jobfile.cron import parse_timezone
from foreshock_pipelines.jobfile.times import parse_time
from foreshock_pipelines.prometheus.labels import exported_labels

if TYPE_CHECKING:
    from foreshock_pipelines.training.exclusions import (
        Exclusion,  # whoever only holds alerts back need not load torch
    )

__all__ = ["Labelled", "Matcher", "Silence", "check_silence", "declare", "parse_matcher"]

ALERT_NAMES = ("job", "kind", "severity", "feature")
"""Names beside the entity's labels, of which one that is so called is ``exported_job`` and so on."""
EARLIEST, LATEST = 0, round(datetime(2200, 1, 1, tzinfo=UTC).timestamp() * 1000)
AFTERWARDS = timedelta(minutes=1)
"""A silence that starts so long before it is declared was declared afterwards."""
LONGEST_REMINDER = timedelta(days=1)
LONGEST_WINDOW = timedelta(days=366)
MOST_MATCHERS, LONGEST_OWNER, LONGEST_REASON, LONGEST_TIME = 50, 128, 2000, 64


class Labelled(Protocol):
    """An alert, as far as a silence knows one."""

    @property
    def match_labels(self) -> Mapping[str, str]:
        """Labels that matchers see."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Holds back alerts that all matchers match, from `start_ms` until `end_ms`: always, or in windows of a rule.

    Parameters
    ----------
    rule
        An RRULE without DTSTART: windows of `duration_s` begin when it says, `start_ms` being the first.
    exclude
        Rows of its entities in its windows are not learnt from.
    """

    id: str
    matchers: tuple[Matcher, ...]
    start_ms: int
    end_ms: int
    owner: str
    reason: str
    created_ms: int
    rule: str | None = None
    duration_s: float | None = None
    timezone: str = "UTC"
    reminded_ms: int | None = None
    ended_by: str | None = None
    exclude: bool = False

    def covers(self, at_ms: int) -> bool:
        """True while a window is open."""
        return bool(self.windows(at_ms, at_ms + 1))

    def windows(self, first_ms: int, last_ms: int) -> list[tuple[int, int]]:
        """Windows ``[start, end)`` that overlap ``[first_ms, last_ms)``, ms since the epoch."""
        starts, length = self._starts()
        low, high = bisect.bisect_right(starts, first_ms - length), bisect.bisect_left(starts, last_ms)
        clipped = [(start, min(start + length, self.end_ms)) for start in starts[low:high]]
        return [(start, end) for start, end in clipped if end > first_ms]

    def next_window(self, now_ms: int) -> int | None:
        """When the window begins that is open or comes next; None after the last one."""
        starts, length = self._starts()
        at = bisect.bisect_right(starts, now_ms - length)
        return starts[at] if at < len(starts) and now_ms < self.end_ms else None

    def _starts(self) -> tuple[Sequence[int], int]:
        """When its windows begin, and how long each lasts, in ms."""
        if self.rule is None or self.duration_s is None:
            return ((self.start_ms,) if self.start_ms < self.end_ms else ()), self.end_ms - self.start_ms
        return begins(self.rule, self.timezone, self.start_ms, self.end_ms), round(self.duration_s * 1000)

    def problem(self) -> str | None:
        """Why it holds back nothing, None if it works: an older version stored what is refused now."""
        return _problem(self)

    def matches(self, alert: Labelled) -> bool:
        """True if it holds back this alert, whatever the time."""
        return self.holds(alert.match_labels)

    def holds(self, labels: Mapping[str, str]) -> bool:
        """True if all of its matchers match these."""
        return all(matcher.matches(labels) for matcher in self.matchers)

    def touches(self, job: str) -> bool:
        """True if alerts of a job may match."""
        return all(matcher.matches({"job": job}) for matcher in self.matchers if matcher.name == "job")

    def remind_at(self) -> int:
        """When its owner is told that it will lapse: after nine tenths of it, at most a day before its end."""
        before = min((self.end_ms - self.start_ms) / 10, LONGEST_REMINDER.total_seconds() * 1000)
        return self.end_ms - round(before)

    def exclusions(self, job: str, entity: Sequence[str], first_ms: int, last_ms: int) -> list[Exclusion]:
        """Rows of a job, whose entities have these labels, that must not be learnt from."""
        from foreshock_pipelines.training.exclusions import Exclusion

        if not self.exclude or not self.touches(job):
            return []
        about = [matcher for matcher in self.matchers if matcher.name != "job"]

        def covered(labels: Mapping[str, str]) -> bool:
            return all(matcher.matches(labels) for matcher in about)

        windows = self.windows(first_ms, last_ms)
        return [Exclusion(None, start, end - 1, where=_by_labels(entity, covered)) for start, end in windows]

    def as_json(self, now_ms: int) -> dict[str, Any]:
        """JSON values, with the state that it is in."""
        problem = self.problem()
        upcoming = self.next_window(max(now_ms, self.start_ms)) if problem is None else None
        return {
            "id": self.id,
            "matchers": [str(matcher) for matcher in self.matchers],
            "state": self.state(now_ms),
            "start": iso(self.start_ms),
            "end": iso(self.end_ms),
            "rule": self.rule,
            "duration": self.duration_s,
            "timezone": self.timezone,
            "next": iso(upcoming) if upcoming is not None else None,
            "owner": self.owner,
            "reason": self.reason,
            "exclude": self.exclude,
            "ended_by": self.ended_by,
            "problem": problem,
        }

    def state(self, now_ms: int) -> str:
        """``active`` in a window, ``pending`` before one, ``expired`` after its end; or ``unusable``."""
        if self.end_ms <= now_ms:
            return "expired"
        if self.problem() is not None:
            return "unusable"
        return "active" if self.covers(now_ms) else "pending"


@lru_cache(maxsize=10_000)  # as many as may be in force: an index is made again whenever one is declared or ends
def _problem(silence: Silence) -> str | None:
    try:
        for matcher in silence.matchers:
            matcher.matches({})
        silence.windows(silence.start_ms, silence.end_ms)
    except (ConfigError, ValueError) as exc:
        return str(exc)
    return None


def declare(
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
    """Make a silence of what people write.

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
    """The same silence, if it can be.

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


def _by_labels(names: Sequence[str], covered: Any) -> Any:
    from foreshock_pipelines.datasets.entity_key import entity_labels

    return lambda entity: covered(exported_labels(entity_labels(entity, names)))


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
