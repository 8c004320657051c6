"""Silences in force, ready for many alerts: matchers compiled, windows expanded, found by what they ask for."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import re2

from foreshock.silences.matchers import pattern_options
from foreshock.silences.model import Labelled, Silence

__all__ = ["SilenceIndex"]

FEW = 20
"""Silences that may share an equality matcher before a pattern of theirs tells them apart better."""


class SilenceIndex:
    """Answers which silence holds back an alert.

    Made outside of transactions: it does all that takes time. A silence is looked up by one of its matchers: an
    equality that few others have, or a pattern, all patterns of a label being matched in one go.

    Parameters
    ----------
    silences
        What the store holds; one that has a `Silence.problem` is in `unusable`, with the reason, and holds nothing.
    """

    def __init__(self, silences: Iterable[Silence] = ()) -> None:
        self.silences: list[Silence] = []
        self.unusable: list[tuple[Silence, str]] = []
        for silence in silences:
            problem = silence.problem()
            if problem is None:
                self.silences.append(silence)
            else:
                self.unusable.append((silence, problem))
        self._equal: dict[tuple[str, str], list[Silence]] = defaultdict(list)
        self._patterns: dict[str, _Patterns] = defaultdict(_Patterns)
        self._rest: list[Silence] = []
        shared = Counter(key for silence in self.silences for key in _equalities(silence))
        for silence in self.silences:
            self._place(silence, shared)
        for patterns in self._patterns.values():
            patterns.compile()

    def silence_of(self, alert: Labelled, at_ms: int) -> Silence | None:
        """Return the silence that holds back an alert at a time; of several, the one that ends last."""
        labels = alert.match_labels
        found = [s for s in self._candidates(labels) if s.matches_labels(labels) and s.is_active(at_ms)]
        return max(found, key=lambda s: (s.end_ms, s.id), default=None)

    def _place(self, silence: Silence, shared: Counter[tuple[str, str]]) -> None:
        equal = min(_equalities(silence), key=lambda key: shared[key], default=None)
        pattern = next((m for m in silence.matchers if m.op == "=~" and not m.matches({})), None)
        if equal is not None and (pattern is None or shared[equal] <= FEW):
            self._equal[equal].append(silence)
        elif pattern is not None:
            self._patterns[pattern.name].add(pattern.value, silence)
        else:
            self._rest.append(silence)

    def _candidates(self, labels: Mapping[str, str]) -> Iterator[Silence]:
        """All that may match, and few that do not."""
        yield from self._rest
        for item in labels.items():
            yield from self._equal.get(item, ())
            if item[0] in self._patterns:
                yield from self._patterns[item[0]].matching(item[1])


class _Patterns:
    """Patterns of one label, each with the silences that have it."""

    def __init__(self) -> None:
        self._silences: dict[str, list[Silence]] = {}
        self._filter: Any = re2.Filter()

    def add(self, pattern: str, silence: Silence) -> None:
        if pattern not in self._silences:
            self._silences[pattern] = []
            self._filter.Add(rf"\A(?:{pattern})\z", pattern_options())
        self._silences[pattern].append(silence)

    def compile(self) -> None:
        self._filter.Compile()
        self._in_order = list(self._silences.values())

    def matching(self, value: str) -> Iterator[Silence]:
        for at in self._filter.Match(value) or ():
            yield from self._in_order[at]


def _equalities(silence: Silence) -> list[tuple[str, str]]:
    return [(m.name, m.value) for m in silence.matchers if m.op == "=" and m.value]
