"""Judge: what models are worth that are made of fitted detectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from foreshock_models.calibration.budget import Budget
from foreshock_models.detectors import Detector, Ensemble
from foreshock_models.panel import Panel
from foreshock_pipelines.jobs.exam import Exam

__all__ = ["Judge", "Members"]

Members = Mapping[str, Detector]
"""The detectors of a model, by name."""


class Judge:
    """Marks models on some exams; what a detector scores there is kept, for the next model that it is part of.

    Parameters
    ----------
    rows
        All detectors that are marked were fitted on these.
    budget
        What models are calibrated to.
    """

    def __init__(self, exams: Sequence[Exam], rows: Panel, budget: Budget) -> None:
        self.exams = tuple(exams)
        self.rows = rows
        self.budget = budget
        self._raw: dict[Detector, list[list[NDArray[np.float64]]]] = {}

    def marks(self, members: Members) -> list[float]:
        """Average precision of a model, on each exam; none of its `members` may change from then on."""
        model = Ensemble().join(members, self.rows, self.budget)
        raw = {name: self._scores(member) for name, member in members.items()}
        return [
            exam.mark_joined(model, {name: scores[number] for name, scores in raw.items()})
            for number, exam in enumerate(self.exams)
        ]

    def mark(self, members: Members) -> float:
        """The mean of its `marks`."""
        return float(np.mean(self.marks(members)))

    def _scores(self, detector: Detector) -> list[list[NDArray[np.float64]]]:
        """Raw scores, of each exam, of each of its papers."""
        if detector not in self._raw:
            self._raw[detector] = [exam.raw(detector) for exam in self.exams]
        return self._raw[detector]
