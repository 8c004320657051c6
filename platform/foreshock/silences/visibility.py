"""Silences that somebody who may see some jobs may see: those that could hold back alerts of one of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from fnmatch import fnmatchcase

from foreshock.silences.model import Silence

__all__ = ["concerns", "names_of"]


def concerns(silence: Silence, names: Iterable[str]) -> bool:
    """Return whether a silence could hold back an alert of a job of one of these names.

    Matchers of labels other than ``job`` may match whatever the job: without one of ``job``, it could.
    """
    matchers = [matcher for matcher in silence.matchers if matcher.name == "job"]
    return any(all(matcher.matches({"job": name}) for matcher in matchers) for name in names)


def names_of(patterns: Collection[str], known: Iterable[str], silence: Silence) -> Iterator[str]:
    """Give names of jobs that patterns admit: of those that are known, of those that a silence names, and examples.

    The examples stand for jobs that are not there any more, or not yet.
    """
    named = [matcher.value for matcher in silence.matchers if (matcher.name, matcher.op) == ("job", "=")]
    for name in [*known, *named]:
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            yield name
    for pattern in patterns:
        yield pattern.replace("*", "")
        yield pattern.replace("*", "x")
