"""Choose: which of the settings that a search found take the place of the defaults.

The best of many trials is also the luckiest one. So it is compared with the defaults again, on exams that the
search did not see; and what counts is what the whole model gains there, for that is what will serve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from foreshock_models.detectors import Detector
from foreshock_pipelines.jobs.judge import Judge, Members

__all__ = ["Choice", "Gain", "choose", "gain", "pick_members"]

CLEARLY = 0.02
"""Share of its average precision by which a model must get better, whatever chance gives."""
ERRORS = 2.0
"""Standard errors of a mean gain that chance is granted."""


@dataclass(frozen=True, slots=True)
class Gain:
    """What is gained in average precision, as a mean over exams; and what of it may be chance, or is too little."""

    mean: float
    chance: float

    @property
    def clear(self) -> bool:
        return self.mean > self.chance

    def __str__(self) -> str:
        return f"{self.mean:+.3f} average precision, {'' if self.clear else 'not '}more than {self.chance:.3f}"


def gain(before: Sequence[float], after: Sequence[float]) -> Gain:
    """Compare the marks of two models on the same exams.

    >>> gain([0.50, 0.40], [0.56, 0.47]).clear
    True
    >>> gain([0.50, 0.40], [0.70, 0.35]).clear
    False
    """
    gains = np.subtract(after, before)
    error = float(gains.std(ddof=1)) / np.sqrt(len(gains)) if len(gains) > 1 else 0.0
    return Gain(float(gains.mean()), max(ERRORS * error, CLEARLY * float(np.mean(before))))


@dataclass(frozen=True)
class Choice:
    """The detectors that were chosen, their mark beside that of all defaults, and why some keep theirs.

    ``taken``: the names of those with the settings that were found.
    """

    members: dict[str, Detector]
    taken: tuple[str, ...]
    mark: float
    default_mark: float
    notes: list[str]


def choose(defaults: Members, found: Members, judge: Judge) -> Choice:
    """Take what was `found` for a detector in place of its default where that makes the whole model clearly better.

    Parameters
    ----------
    found
        Only those with settings other than the defaults.
    judge
        On other exams than the search saw, where there are others.
    """
    members, taken, notes = dict(defaults), [], []
    before = marks = judge.marks(members)
    for name, detector in found.items():
        joined = {**members, name: detector}
        after = judge.marks(joined)
        gained = gain(marks, after)
        if gained.clear:
            members, marks = joined, after
            taken.append(name)
        else:
            notes.append(f"{name} keeps its defaults: the best setting gains {gained}, which may be chance")
    return Choice(members, tuple(taken), float(np.mean(marks)), float(np.mean(before)), notes)


def pick_members(choice: Choice, judge: Judge) -> Choice:
    """Begin with the best detector, add those that make the model better; all of them if that is as good."""
    alone = {name: judge.mark({name: member}) for name, member in choice.members.items()}
    order = sorted(alone, key=lambda name: -alone[name])
    kept, best = order[:1], alone[order[0]]
    for name in order[1:]:
        mark = judge.mark({n: member for n, member in choice.members.items() if n in {*kept, name}})
        if mark > best:
            kept, best = [*kept, name], mark
    if best <= (1 + CLEARLY) * choice.mark:
        return choice
    return replace(choice, members={n: m for n, m in choice.members.items() if n in kept}, mark=best)
