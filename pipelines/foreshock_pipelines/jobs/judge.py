"""Judge: what models are worth that are made of fitted detectors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foreshock_models.calibration.budget import Budget
from foreshock_models.detectors import Detector, Ensemble
from foreshock_models.panel import Panel
from foreshock_pipelines.jobs.exam import Exam

__all__ = ["CLEARLY", "Gain", "Judge", "Members", "gain"]

Members = Mapping[str, Detector]
"""The detectors of a model, by name."""
CLEARLY = 0.02
"""Share of its average precision by which a model must get better, whatever chance gives."""
CLEARLY_PLANTED = 0.1
"""The same on planted anomalies, which are not the real ones: where hardly any of them is found, as on SMD, small
gains are sure and still say nothing."""
ERRORS = 2.0
"""Standard errors of a mean gain that chance is granted."""


@dataclass(frozen=True, slots=True)
class Gain:
    """What is gained in average precision; and what of it may be chance, or is too little."""

    mean: float
    chance: float

    @property
    def clear(self) -> bool:
        return self.mean > self.chance


def gain(before: Sequence[float], after: Sequence[float], *, apart: bool = True, clearly: float = CLEARLY) -> Gain:
    """Compare the marks of two models.

    Parameters
    ----------
    apart
        They are marks on exams that have nothing in common; False: on one exam, each time without another one of
        its anomalies (the jackknife).
    clearly
        Share of the mark before that a gain must exceed.

    Examples
    --------
    >>> gain([0.50, 0.40], [0.56, 0.47]).clear
    True
    >>> gain([0.50, 0.40], [0.70, 0.35]).clear
    False
    """
    gains = np.subtract(after, before)
    n = len(gains)
    error = float(gains.std(ddof=1)) / math.sqrt(n) * (1 if apart else n - 1) if n > 1 else 0.0
    return Gain(float(gains.mean()), max(ERRORS * error, clearly * float(np.mean(before))))


class Judge:
    """Marks models on some exams; what a detector scores there is kept, for the next model that it is part of.

    Parameters
    ----------
    rows
        All detectors that are marked were fitted on these, and do not change any more.
    budget
        What models are calibrated to.
    """

    def __init__(self, exams: Sequence[Exam], rows: Panel, budget: Budget) -> None:
        self.exams = tuple(exams)
        self.rows = rows
        self.budget = budget
        self._raw: dict[Detector, list[list[NDArray[np.float64]]]] = {}

    def mark(self, members: Members) -> float:
        """Average precision of a model of these detectors, as a mean over the exams."""
        return float(np.mean(self._marks(members)))

    def gain(self, before: Members, after: Members) -> Gain:
        """What one model gains over another one: chance is what differs from exam to exam.

        Where there is one exam, it is what differs without one or another of its anomalies, if it has several.
        """
        clearly = CLEARLY if self.exams[0].basis == "labels" else CLEARLY_PLANTED
        if len(self.exams) > 1:
            return gain(self._marks(before), self._marks(after), clearly=clearly)
        old, new = self._marks_without_one(before), self._marks_without_one(after)
        return gain(old, new, apart=False, clearly=clearly)

    def _marks(self, members: Members) -> list[float]:
        scores = self._scores(members)
        return [exam.average_precision(own) for exam, own in zip(self.exams, scores, strict=True)]

    def _marks_without_one(self, members: Members) -> list[float]:
        (exam,), (scores,) = self.exams, self._scores(members)
        if exam.n_anomalies == 1:
            return [exam.average_precision(scores)]
        return [exam.average_precision(scores, without=number) for number in range(exam.n_anomalies)]

    def _scores(self, members: Members) -> list[list[NDArray[np.float64]]]:
        """Of a model: of each exam, of each of its papers."""
        model = Ensemble().join(members, self.rows, self.budget)
        for member in members.values():
            if member not in self._raw:
                self._raw[member] = [exam.raw(member) for exam in self.exams]
        return [
            exam.joined(model, {name: self._raw[member][number] for name, member in members.items()})
            for number, exam in enumerate(self.exams)
        ]
