"""Several detectors as one: the mean of their calibrated scores, calibrated again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foreshock_models.calibration.budget import Budget
from foreshock_models.calibration.calibrator import Calibrator
from foreshock_models.calibration.state import State
from foreshock_models.detectors._base import HOLD_BACK, Detector, Expectation, Scores, hold_back
from foreshock_models.errors import ConfigError
from foreshock_models.explain.explanation import Explanation
from foreshock_models.panel import Panel

__all__ = ["Ensemble"]

BOUNDS = (-0.5, 3.0)
"""A member's score counts within these: no single one decides alone, however far it is over the line."""


class Ensemble(Detector):
    """The mean of its members' calibrated scores, which are on one scale: log-tail probabilities.

    Parameters
    ----------
    members
        Name to detector; default: what suits the number of features (`default_detectors`).

    Examples
    --------
    >>> import numpy as np
    >>> from foreshock_models.detectors import IForest, Subspace
    >>> x = np.random.default_rng(0).normal(size=(600, 2))
    >>> model = Ensemble({"iforest": IForest(n_trees=10), "subspace": Subspace(window=4)}).fit(x)
    >>> sorted(model.score(x).members)
    ['iforest', 'subspace']
    """

    name = "ensemble"

    def __init__(
        self,
        members: Mapping[str, Detector] | None = None,
        *,
        contamination: float = 0.01,
        random_state: int = 0,
    ) -> None:
        super().__init__(contamination=contamination, random_state=random_state)
        self.members = members

    @property
    def context(self) -> int:
        return max(member.context for member in self.members_.values())

    def fit(
        self, X: Any, y: object = None, *, entities: ArrayLike | None = None, budget: Budget | None = None
    ) -> Self:
        """Fit every member on the same rows, then calibrate their mean. See `Detector.fit`."""
        panel = Panel.of(X, entities=entities)
        self._check_enough(panel)
        return self.join({n: m.fit(panel, budget=budget) for n, m in self._members(panel).items()}, panel, budget)

    def join(self, fitted: Mapping[str, Detector], X: Any, budget: Budget | None = None) -> Self:
        """Take detectors that were fitted on the rows of `X` elsewhere, and calibrate their mean.

        Raises
        ------
        ConfigError
            No members, or members fitted on different features.
        """
        if not fitted:
            raise ConfigError("an ensemble needs at least one member")
        panel = Panel.of(X)
        if len({member.features_in_ for member in fitted.values()}) > 1:
            raise ConfigError("the members of an ensemble must be fitted on the same features")
        self.members_ = dict(fitted)
        self.features_in_ = panel.features
        self.n_features_in_ = panel.n_features
        self.profile_ = next(iter(fitted.values())).profile_
        _, tail = hold_back(panel, HOLD_BACK)
        states = {name: member.state_ for name, member in fitted.items()}
        raw, _ = self._mean(panel, np.ones(panel.n_rows, np.bool_), _put_together(states))
        calibrator = Calibrator(budget or Budget.parse("1 per week"), linear=True)
        self.calibrator_ = calibrator.fit(raw[tail], panel.take(tail))
        self.state_ = _put_together({**states, self.name: self.calibrator_.state})
        self.decision_scores_ = raw
        self.threshold_ = float(np.quantile(raw, 1 - self.contamination))
        self.labels_ = (raw > self.threshold_).astype(np.int64)
        self._remember_range()
        return self

    def recalibrate(self, budget: Budget) -> Self:
        for member in self.members_.values():
            member.recalibrate(budget)
        return super().recalibrate(budget)

    def _members(self, panel: Panel) -> Mapping[str, Detector]:
        if self.members is not None:
            return self.members
        from foreshock_models.detectors import default_detectors, make

        return {name: make(name, random_state=self.random_state) for name in default_detectors(panel.n_features)}

    def _mean(
        self, panel: Panel, keep: NDArray[np.bool_], state: State
    ) -> tuple[NDArray[np.float64], dict[str, Scores]]:
        """Mean of the members' bounded scores ``(n_kept,)``, and each member's own."""
        scores = {name: member._score(panel, keep, state.under(name)) for name, member in self.members_.items()}
        return np.mean([np.clip(s.score, *BOUNDS) for s in scores.values()], axis=0), scores

    def _decision(self, panel: Panel) -> NDArray[np.float64]:
        return self._mean(panel, np.ones(panel.n_rows, np.bool_), self.state_)[0]

    def _score(self, panel: Panel, keep: NDArray[np.bool_], state: State) -> Scores:
        raw, scores = self._mean(panel, keep, state)
        rows = next(iter(scores.values())).panel
        done = self.calibrator_.apply(raw, rows, state.under(self.name))
        return Scores(
            panel=rows,
            score=done.score,
            raw=raw,
            warming=done.warming,
            state=_put_together({**{n: s.state for n, s in scores.items()}, self.name: done.state}),
            members={name: s.score for name, s in scores.items()},
            new_normal=done.new_normal,
        )

    def _explain(self, panel: Panel, rows: NDArray[np.int64]) -> Explanation:
        """Each member's attributions as shares of their own sum, weighted by the member's score.

        Members measure in units of their own, so that only shares can be put together. They add up to how
        far the ensemble's raw score lies above the lowest one.
        """
        raw, scores = self._mean(panel, np.ones(panel.n_rows, np.bool_), self.state_)
        total = np.zeros((len(rows), panel.n_features))
        for name, member in self.members_.items():
            parts = np.maximum(member._explain(panel, rows).attributions, 0.0)
            share = parts / np.maximum(parts.sum(axis=1, keepdims=True), 1e-12)
            total += share * np.maximum(scores[name].score[rows], 0.05)[:, None]
        size = total.sum(axis=1, keepdims=True)
        total = np.where(size > 0, total / np.maximum(size, 1e-12), 1.0 / panel.n_features)
        lowest = np.full(len(rows), BOUNDS[0])
        return Explanation(panel.features, total * (raw[rows] - lowest)[:, None], lowest, raw[rows])

    def _expect(self, panel: Panel) -> Expectation | None:
        """What the first member that predicts values expects."""
        for member in self.members_.values():
            expectation = member._expect(panel)
            if expectation is not None:
                return expectation
        return None

    def _fit(self, panel: Panel) -> None:
        raise AssertionError("an ensemble fits through its members")

    def _to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[np.generic]]]:
        return {}, {}

    def _from_arrays(self, values: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        states = {name: member.state_ for name, member in self.members_.items()}
        self.state_ = _put_together({**states, self.name: self.calibrator_.state})


def _put_together(states: Mapping[str, State]) -> State:
    """The states of several detectors of the same entities as one, each under its name."""
    entities = next(iter(states.values())).entities
    arrays = {}
    for name, state in states.items():
        aligned = state if state.entities == entities else state.select(entities)
        arrays.update({f"{name}/{key}": value for key, value in aligned.arrays.items()})
    return State(entities, arrays)
