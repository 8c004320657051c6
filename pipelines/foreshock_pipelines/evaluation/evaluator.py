"""Evaluate models that are made of fitted detectors, and tell an improvement from chance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foreshock_models.calibration.budget import Budget
from foreshock_models.detectors import Detector, Ensemble
from foreshock_models.panel import Panel
from foreshock_pipelines.evaluation.evaluation_set import EvaluationSet

__all__ = [
    "MIN_GAIN",
    "MIN_GAIN_INJECTED",
    "Evaluator",
    "Improvement",
    "Members",
    "improvement",
    "jackknife_error",
]

Members = Mapping[str, Detector]
"""The detectors of a model, by name."""
MIN_GAIN = 0.02
"""Least relative gain in average precision that counts as an improvement."""
MIN_GAIN_INJECTED = 0.1
"""The same on injected anomalies, which are not the real ones: where hardly any of them is found, as on SMD, small
gains are significant and still say nothing."""
STANDARD_ERRORS = 2.0
"""Standard errors that a mean gain must exceed."""
JACKKNIFE_GROUPS = 20
"""Groups that the jackknife puts anomalies into, where there are more: each costs two average precisions."""


@dataclass(frozen=True, slots=True)
class Improvement:
    """A gain in average precision: its mean, and the threshold below which it may be chance or is too small."""

    mean: float
    threshold: float

    @property
    def significant(self) -> bool:
        return self.mean > self.threshold


def improvement(
    before: Sequence[float], after: Sequence[float], *, independent: bool = True, min_gain: float = MIN_GAIN
) -> Improvement:
    """Compare the average precisions of two models.

    Parameters
    ----------
    independent
        They were measured on evaluation sets that share nothing; False: on one set, each time without another one
        of its anomalies (the jackknife).
    min_gain
        Share of the average precision before that a gain must exceed.

    Examples
    --------
    >>> improvement([0.50, 0.40], [0.56, 0.47]).significant
    True
    >>> improvement([0.50, 0.40], [0.70, 0.35]).significant
    False
    """
    gains = np.subtract(after, before)
    n = len(gains)
    error = float(gains.std(ddof=1)) / math.sqrt(n) * (1 if independent else n - 1) if n > 1 else 0.0
    return Improvement(float(gains.mean()), max(STANDARD_ERRORS * error, min_gain * float(np.mean(before))))


def jackknife_error(
    evaluation_set: EvaluationSet,
    before: Sequence[NDArray[np.float64]],
    after: Sequence[NDArray[np.float64]],
    groups: int = JACKKNIFE_GROUPS,
) -> float:
    """Return the standard error of the gain in average precision from one model's scores to another one's.

    The anomalies are a sample, the other rows are given: the gain is measured again without one or another of
    `groups` groups of anomalies (the delete-group jackknife). For a single anomaly the error is infinite.
    """
    n = min(groups, evaluation_set.n_anomalies)
    if n < 2:
        return math.inf
    numbers = np.random.default_rng(0).permutation(evaluation_set.n_anomalies)
    gains = []
    for group in np.array_split(numbers, n):
        keep = ~np.isin(evaluation_set.numbers, group)
        gain = evaluation_set.average_precision_of(after, keep) - evaluation_set.average_precision_of(before, keep)
        gains.append(gain)
    return float(np.std(gains)) * math.sqrt(n - 1)


class Evaluator:
    """Evaluates models on some evaluation sets; caches the raw scores of each detector for the next model with it.

    Parameters
    ----------
    rows
        The rows that all evaluated detectors were fitted on; fitted detectors must not change any more.
    budget
        The budget that models are calibrated to.
    """

    def __init__(self, sets: Sequence[EvaluationSet], rows: Panel, budget: Budget) -> None:
        self.sets = tuple(sets)
        self.rows = rows
        self.budget = budget
        self._raw: dict[Detector, list[list[NDArray[np.float64]]]] = {}

    def average_precision(self, members: Members) -> float:
        """Return the average precision of a model of these detectors, as a mean over the evaluation sets."""
        return float(np.mean(self._each(members)))

    def improvement(self, before: Members, after: Members) -> Improvement:
        """Compare two models; their difference from one evaluation set to another tells what may be chance.

        With one evaluation set, the difference without one or another of its anomalies does, if it has several.
        """
        min_gain = MIN_GAIN if self.sets[0].basis == "labels" else MIN_GAIN_INJECTED
        if len(self.sets) > 1:
            return improvement(self._each(before), self._each(after), min_gain=min_gain)
        old, new = self._jackknife(before), self._jackknife(after)
        return improvement(old, new, independent=False, min_gain=min_gain)

    def _each(self, members: Members) -> list[float]:
        """The average precision on each evaluation set."""
        scores = self._scores(members)
        return [one.average_precision_of(own) for one, own in zip(self.sets, scores, strict=True)]

    def _jackknife(self, members: Members) -> list[float]:
        """The average precision on the only evaluation set, each time without another one of its anomalies."""
        (only,), (scores,) = self.sets, self._scores(members)
        if only.n_anomalies == 1:
            return [only.average_precision_of(scores)]
        numbers = range(only.n_anomalies)
        return [only.average_precision_of(scores, keep=only.numbers != number) for number in numbers]

    def _scores(self, members: Members) -> list[list[NDArray[np.float64]]]:
        """The scores of a model on each replicate of each evaluation set."""
        model = Ensemble().join(members, self.rows, self.budget)
        for member in members.values():
            if member not in self._raw:
                self._raw[member] = [one.raw_scores(member) for one in self.sets]
        return [
            one.ensemble_scores(model, {name: self._raw[member][number] for name, member in members.items()})
            for number, one in enumerate(self.sets)
        ]
