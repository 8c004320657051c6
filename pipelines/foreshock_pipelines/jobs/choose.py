"""Choose: which of the settings that a search found take the place of the defaults.

The best of many trials is also the luckiest one. So it is compared with the defaults again, on exams that the
search did not see; and what counts is what the whole model gains there, for that is what will serve.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from foreshock_models.calibration.budget import Budget
from foreshock_models.detectors import Detector, Ensemble
from foreshock_models.panel import Panel
from foreshock_pipelines.jobs.exam import Exam

__all__ = ["Beside", "Choice", "Gain", "Members", "choose", "gain", "pick_members"]

Members = Mapping[str, Detector]
Raw = list[list[NDArray[np.float64]]]
"""Raw scores of one detector: of each exam, of each of its papers."""
CLEARLY = 0.02
"""Share of its average precision by which a model must get better, whatever chance gives."""
ERRORS = 2.0
"""Standard errors of a mean gain that chance is granted."""


@dataclass(frozen=True)
class Beside:
    """The other detectors of a model, fitted, and their raw scores of each paper of an exam."""

    members: Members
    raw: Mapping[str, list[NDArray[np.float64]]]

    def mark(self, name: str, detector: Detector, exam: Exam, rows: Panel, budget: Budget) -> float:
        """The mark of a model of these detectors and this one, all fitted on `rows`."""
        if not self.members:
            return exam.mark(detector)
        joined = Ensemble().join({**self.members, name: detector}, rows, budget)
        return exam.mark_joined(joined, {**self.raw, name: exam.raw(detector)})


@dataclass(frozen=True, slots=True)
class Gain:
    """What is gained over something, in average precision, as a mean over exams; and what is nothing yet."""

    mean: float
    chance: float

    @property
    def clear(self) -> bool:
        return self.mean > self.chance

    def __str__(self) -> str:
        than = "more" if self.clear else "not more"
        return f"{self.mean:+.3f} on anomalies that the search did not see, {than} than {self.chance:.3f}"


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


def choose(defaults: Members, found: Members, exams: Sequence[Exam], rows: Panel, budget: Budget) -> Choice:
    """Take what was `found` for a detector in place of its default where that makes the whole model clearly better.

    Parameters
    ----------
    defaults, found
        Fitted on `rows`; `found` only those with settings other than the defaults.
    exams
        Others than the search saw.
    """
    raws = {name: _raw(detector, exams) for name, detector in defaults.items()}
    members, taken, notes = dict(defaults), [], []
    before = marks = _marks(members, raws, exams, rows, budget)
    for name, detector in found.items():
        joined, joined_raws = {**members, name: detector}, {**raws, name: _raw(detector, exams)}
        after = _marks(joined, joined_raws, exams, rows, budget)
        gained = gain(marks, after)
        if gained.clear:
            members, raws, marks = joined, joined_raws, after
            taken.append(name)
        else:
            notes.append(f"{name} keeps its defaults: the best setting gave {gained}, which chance may give")
    return Choice(members, tuple(taken), float(np.mean(marks)), float(np.mean(before)), notes)


def pick_members(choice: Choice, exams: Sequence[Exam], rows: Panel, budget: Budget) -> Choice:
    """Begin with the best detector, add those that make the model better; all of them if that is as good."""
    raws = {name: _raw(detector, exams) for name, detector in choice.members.items()}

    def mark(names: Sequence[str]) -> float:
        some = {name: member for name, member in choice.members.items() if name in names}
        return float(np.mean(_marks(some, raws, exams, rows, budget)))

    alone = {name: mark([name]) for name in choice.members}
    order = sorted(alone, key=lambda name: -alone[name])
    kept, best = order[:1], alone[order[0]]
    for name in order[1:]:
        joined = mark([*kept, name])
        if joined > best:
            kept, best = [*kept, name], joined
    if best <= (1 + CLEARLY) * choice.mark:
        return choice
    return replace(choice, members={n: m for n, m in choice.members.items() if n in kept}, mark=best)


def _raw(detector: Detector, exams: Sequence[Exam]) -> Raw:
    return [exam.raw(detector) for exam in exams]


def _marks(
    members: Members, raws: Mapping[str, Raw], exams: Sequence[Exam], rows: Panel, budget: Budget
) -> list[float]:
    joined = Ensemble().join(members, rows, budget)
    return [exam.mark_joined(joined, {name: raws[name][k] for name in members}) for k, exam in enumerate(exams)]
