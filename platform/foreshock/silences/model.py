"""Silences and maintenance windows as records: which alerts they hold back, when, and when they expire.

A silence has matchers as Alertmanager's, and one window of time or a recurring one. It expires at its end, which
is required; `SilenceRepository.expire` brings that forward.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from foreshock.clock import iso
from foreshock.silences.matchers import Matcher
from foreshock.silences.recurrence import begins
from foreshock_models.errors import ConfigError
from foreshock_pipelines.prometheus.labels import exported_labels

if TYPE_CHECKING:
    from foreshock_pipelines.training.exclusions import (
        Exclusion,  # whoever only holds alerts back need not load torch
    )

__all__ = ["ALERT_NAMES", "Labelled", "Silence"]

ALERT_NAMES = ("job", "kind", "severity", "feature")
"""Names beside the entity's labels, of which one that is so called is ``exported_job`` and so on."""
LONGEST_REMINDER = timedelta(days=1)


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

    def is_active(self, at_ms: int) -> bool:
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
        return self.matches_labels(alert.match_labels)

    def matches_labels(self, labels: Mapping[str, str]) -> bool:
        """True if all of its matchers match these."""
        return all(matcher.matches(labels) for matcher in self.matchers)

    def may_match_job(self, job: str) -> bool:
        """True if alerts of a job may match."""
        return all(matcher.matches({"job": job}) for matcher in self.matchers if matcher.name == "job")

    def remind_at(self) -> int:
        """When its owner is told that it will lapse: after nine tenths of it, at most a day before its end."""
        before = min((self.end_ms - self.start_ms) / 10, LONGEST_REMINDER.total_seconds() * 1000)
        return self.end_ms - round(before)

    def exclusions(self, job: str, entity: Sequence[str], first_ms: int, last_ms: int) -> list[Exclusion]:
        """Rows of a job, whose entities have these labels, that must not be learnt from."""
        from foreshock_pipelines.training.exclusions import Exclusion

        if not self.exclude or not self.may_match_job(job):
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
        return "active" if self.is_active(now_ms) else "pending"


@lru_cache(maxsize=10_000)  # as many as may be in force: an index is made again whenever one is declared or ends
def _problem(silence: Silence) -> str | None:
    try:
        for matcher in silence.matchers:
            matcher.matches({})
        silence.windows(silence.start_ms, silence.end_ms)
    except (ConfigError, ValueError) as exc:
        return str(exc)
    return None


def _by_labels(names: Sequence[str], covered: Any) -> Any:
    from foreshock_pipelines.datasets.entity_key import entity_labels

    return lambda entity: covered(exported_labels(entity_labels(entity, names)))
