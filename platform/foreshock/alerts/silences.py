"""Silences and maintenance windows: which alerts are held back, and when.

A silence has matchers as Alertmanager's, and one window of time or a recurring one. Its end is required. A rule is
one of iCalendar's (RFC 5545); windows begin at the same local time on both sides of a change of daylight saving
time and last as long as they were said to. A local time that a change skips counts with the offset from before it,
one that comes twice is the first of the two, as the RFC says.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from dateutil.rrule import rrule, rrulestr

from foreshock.store.store import Alert
from foreshock_models.errors import ConfigError
from foreshock_pipelines.jobfile import parse_duration
from foreshock_pipelines.jobfile.cron import parse_timezone
from foreshock_pipelines.jobfile.times import parse_time

if TYPE_CHECKING:
    from foreshock_pipelines.jobs.train import Exclusion  # whoever only holds alerts back need not load torch

__all__ = ["Matcher", "Silence", "check_silence", "declare", "holding", "parse_matcher"]

NAME = r"[A-Za-z_][A-Za-z0-9_]*"
ALERT_NAMES = ("job", "kind", "severity", "feature")
"""What a matcher may name beside the entity's labels."""
EARLIEST, LATEST = 0, round(datetime(2200, 1, 1, tzinfo=UTC).timestamp() * 1000)
AFTERWARDS = timedelta(minutes=1)
"""A silence that starts so long before it is declared was declared afterwards."""
LONGEST_REMINDER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Matcher:
    """``name op value``; a label that is not there is the empty text, a pattern must match the whole value."""

    name: str
    op: str
    value: str

    def matches(self, labels: Mapping[str, str]) -> bool:
        found = labels.get(self.name, "")
        same = found == self.value if self.op in ("=", "!=") else _pattern(self.value).fullmatch(found) is not None
        return same != self.op.startswith("!")

    def __str__(self) -> str:
        value = self.value.replace("\\", "\\\\").replace('"', '\\"')
        return f'{self.name}{self.op}"{value}"'


def parse_matcher(text: str) -> Matcher:
    """Read ``instance=web-1``, ``instance=~"web-.*"``, ``severity!=critical``, ``pod!~"batch-.*"``.

    Raises
    ------
    ConfigError
        Neither of these, or no regular expression.
    """
    match = re.fullmatch(rf'\s*({NAME})\s*(=~|!~|!=|=)\s*(?:"((?:[^"\\]|\\.)*)"|([^"]*?))\s*', text, re.DOTALL)
    if match is None:
        raise ConfigError(
            f"{text!r} is no matcher; write NAME=VALUE, NAME!=VALUE, NAME=~PATTERN or NAME!~PATTERN, "
            'as in instance=~"web-.*"'
        )
    name, op, quoted, bare = match.groups()
    value = bare if quoted is None else re.sub(r'\\(["\\])', r"\1", quoted)
    if op in ("=~", "!~"):
        try:
            re.compile(value)
        except re.error as exc:
            raise ConfigError(f"{text!r}: {value!r} is no regular expression: {exc}") from exc
    return Matcher(name, op, value)


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
        return any(start <= at_ms < end for start, end in self.windows(at_ms, at_ms + 1))

    def windows(self, first_ms: int, last_ms: int) -> list[tuple[int, int]]:
        """Windows ``[start, end)`` that overlap ``[first_ms, last_ms)``, ms since the epoch."""
        if self.rule is None or self.duration_s is None:
            found = [(self.start_ms, self.end_ms)]
        else:
            found = self._recurring(max(first_ms, self.start_ms), min(last_ms, self.end_ms))
        clipped = ((start, min(end, self.end_ms)) for start, end in found)
        return [(start, end) for start, end in clipped if start < last_ms and end > first_ms and start < end]

    def _recurring(self, first_ms: int, last_ms: int) -> list[tuple[int, int]]:
        zone = parse_timezone(self.timezone)
        length = round((self.duration_s or 0.0) * 1000)
        day = timedelta(days=1)  # a change of daylight saving time moves no window further
        rule = _rule(self.rule or "", self.start_ms, self.timezone)
        begins = rule.between(_local(first_ms - length, zone) - day, _local(last_ms, zone) + day, inc=True)
        starts = [round(local.replace(tzinfo=zone).timestamp() * 1000) for local in begins]
        return [(start, start + length) for start in starts]

    def matches(self, alert: Alert) -> bool:
        """True if it holds back this alert, whatever the time."""
        about = {"job": alert.job, "kind": alert.kind, "severity": alert.severity, "feature": alert.feature}
        return all(matcher.matches({**alert.labels, **about}) for matcher in self.matchers)

    def touches(self, job: str) -> bool:
        """True if alerts of a job may match."""
        return all(matcher.matches({"job": job}) for matcher in self.matchers if matcher.name == "job")

    def remind_at(self) -> int:
        """When its owner is told that it will lapse: after nine tenths of it, at most a day before its end."""
        before = min((self.end_ms - self.start_ms) / 10, LONGEST_REMINDER.total_seconds() * 1000)
        return self.end_ms - round(before)

    def exclusions(self, job: str, entity: Sequence[str], first_ms: int, last_ms: int) -> list[Exclusion]:
        """Rows of a job, whose entities have these labels, that must not be learnt from."""
        from foreshock_pipelines.jobs.train import Exclusion

        if not self.exclude or not self.touches(job):
            return []
        about = [matcher for matcher in self.matchers if matcher.name != "job"]

        def covered(labels: Mapping[str, str]) -> bool:
            return all(matcher.matches(labels) for matcher in about)

        windows = self.windows(first_ms, last_ms)
        return [Exclusion(None, start, end - 1, where=_by_labels(entity, covered)) for start, end in windows]

    def as_json(self, now_ms: int) -> dict[str, Any]:
        """JSON values, with the state that it is in."""
        from foreshock.alerts.payload import iso

        upcoming = self.windows(max(now_ms, self.start_ms), self.end_ms)[:1] if self.end_ms > now_ms else []
        return {
            "id": self.id,
            "matchers": [str(matcher) for matcher in self.matchers],
            "state": self.state(now_ms),
            "start": iso(self.start_ms),
            "end": iso(self.end_ms),
            "rule": self.rule,
            "duration": self.duration_s,
            "timezone": self.timezone,
            "next": iso(upcoming[0][0]) if upcoming else None,
            "owner": self.owner,
            "reason": self.reason,
            "exclude": self.exclude,
            "ended_by": self.ended_by,
        }

    def state(self, now_ms: int) -> str:
        """``active`` in a window, ``pending`` before one, ``expired`` after its end."""
        if self.end_ms <= now_ms:
            return "expired"
        return "active" if self.covers(now_ms) else "pending"


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
    parsed = tuple(parse_matcher(text) for text in matchers)
    try:
        zone = parse_timezone(timezone)
        length = parse_duration(duration) if duration is not None else None
        first = _when(start, now, zone)
        last = _when(end, now, zone) if end is not None else first + length if length and rule is None else None
    except (ValueError, OverflowError) as exc:
        raise ConfigError(str(exc)) from exc
    if last is None:
        raise ConfigError("say when the silence ends: a silence without an end is forgotten")
    if rule is None and end is not None and length is not None:
        raise ConfigError("say when the silence ends, or how long it lasts, not both; both are for a recurring one")
    if exclude is None:
        rows_alone = not any(matcher.name in ALERT_NAMES[1:] for matcher in parsed)
        exclude = rows_alone and now - first > AFTERWARDS
    return check_silence(
        Silence(
            uuid.uuid4().hex[:12], parsed, _ms(first), _ms(last), owner, reason, _ms(now), rule=rule,
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
    if not any(not matcher.matches({}) for matcher in silence.matchers):
        raise ConfigError(
            "the silence would hold back every alert: at least one matcher must name a value, as in job=node"
        )
    if not silence.owner.strip() or not silence.reason.strip():
        raise ConfigError("a silence needs an owner and a reason")
    if (silence.rule is None) != (silence.duration_s is None):
        raise ConfigError("a recurring silence needs a rule and the duration of its windows; a one-off has neither")
    if silence.exclude and (other := [m.name for m in silence.matchers if m.name in ALERT_NAMES[1:]]):
        raise ConfigError(
            f"rows have no {other[0]}: a silence that takes rows out of training matches job and labels"
        )
    try:
        parse_timezone(silence.timezone)
        if silence.rule is not None:
            _check_rule(silence)
    except ValueError as exc:
        raise ConfigError(str(exc)) from exc
    return silence


def _check_rule(silence: Silence) -> None:
    rule = str(silence.rule)
    example = "write one as in FREQ=WEEKLY;BYDAY=SU"
    if "UNTIL" in rule.upper() or "DTSTART" in rule.upper():
        raise ValueError(f"{rule!r}: the silence's own start and end say from when to when; {example}")
    if not re.search(r"FREQ=(YEARLY|MONTHLY|WEEKLY|DAILY|HOURLY)\b", rule, re.IGNORECASE):
        raise ValueError(f"{rule!r}: no FREQ of YEARLY, MONTHLY, WEEKLY, DAILY or HOURLY; {example}")
    if (silence.duration_s or 0) <= 0:
        raise ValueError("the duration of a recurring silence's windows must be longer than 0")
    try:
        _rule(rule, silence.start_ms, silence.timezone)
    except (ValueError, TypeError, KeyError) as exc:
        raise ValueError(f"{rule!r} is no RRULE of iCalendar: {exc}; {example}") from exc
    if not silence.windows(silence.start_ms, silence.end_ms):
        raise ValueError(f"{rule!r} gives no window between the silence's start and end")


@lru_cache(maxsize=512)
def _rule(text: str, start_ms: int, zone: str) -> rrule:
    """The rule in local time without an offset, so that a window begins at the same hour all year."""
    made = rrulestr(text, dtstart=_local(start_ms, parse_timezone(zone)), cache=True)
    if not isinstance(made, rrule):
        raise ValueError("more than one rule")
    return made


@lru_cache(maxsize=512)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)


def _by_labels(names: Sequence[str], covered: Any) -> Any:
    from foreshock_pipelines.datasets.windows import entity_labels

    return lambda entity: covered(entity_labels(entity, names))


def _when(text: str, now: datetime, zone: ZoneInfo) -> datetime:
    try:
        plain = datetime.fromisoformat(text)
    except ValueError:
        return parse_time(text, now)
    return plain if plain.tzinfo else plain.replace(tzinfo=zone)


def _ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)


def _local(ms: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone(zone).replace(tzinfo=None, fold=0)


def _say(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def holding(silences: Iterable[Silence], alert: Alert, at_ms: int) -> Silence | None:
    """The silence that holds back an alert at a time, if there is one: of several the one that ends last."""
    found = [s for s in silences if s.matches(alert) and s.covers(at_ms)]
    return max(found, key=lambda s: s.end_ms, default=None)
