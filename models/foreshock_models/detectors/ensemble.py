"""Several detectors as one: the mean of their tail scores, calibrated again."""

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

BOUNDS = (0.0, 3.0)
"""A member's score counts within these: no single one decides alone, however far it is over the line."""
WEIGHTS = {"iforest": 1.5, "vae": 0.5}
"""How much a member's score counts; others 1."""


class Ensemble(Detector):
    """The mean of its members' scores, which are on one scale: log-tail probabilities.

    The members' scores are taken as training calibrated them, without what each would have learnt since: only the
    mean follows drift. Members that each adapt on their own would soon disagree about what is usual.

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
        raw, _ = self._mean(panel, {name: member.decision_scores_ for name, member in fitted.items()})
        self._conclude(raw, panel, tail, Calibrator(budget or Budget.parse("1 per week"), linear=True))
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
        self, panel: Panel, raw: Mapping[str, NDArray[np.float64]]
    ) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
        """Weighted mean of the members' bounded scores ``(n_rows,)``, and each member's own."""
        scores = {name: self.members_[name].calibrator_.static(values, panel) for name, values in raw.items()}
        weights = [WEIGHTS.get(name, 1.0) for name in scores]
        return np.average([np.clip(s, *BOUNDS) for s in scores.values()], axis=0, weights=weights), scores

    def _decision(self, panel: Panel) -> NDArray[np.float64]:
        return self._mean(panel, {name: member._decision(panel) for name, member in self.members_.items()})[0]

    def _decision_at(self, panel: Panel, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return self._mean_at(panel, rows)[0]

    def _mean_at(
        self, panel: Panel, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
        """`_mean` at some rows, their numbers increasing."""
        chosen = np.zeros(panel.n_rows, np.bool_)
        chosen[rows] = True
        raw = {name: member._decision_at(panel, rows) for name, member in self.members_.items()}
        return self._mean(panel if chosen.all() else panel.take(chosen), raw)

    def _score(self, panel: Panel, keep: NDArray[np.bool_], state: State) -> Scores:
        raw, members = self._mean_at(panel, np.flatnonzero(keep))
        rows = panel if keep.all() else panel.take(keep)
        done = self.calibrator_.apply(raw, rows, state)
        return Scores(
            panel=rows,
            score=done.score,
            raw=raw,
            warming=done.warming,
            state=done.state,
            members=members,
            new_normal=done.new_normal,
        )

    def _explain(self, panel: Panel, rows: NDArray[np.int64]) -> Explanation:
        """Each member's attributions as shares of their own sum, weighted by the member's score.

        Members measure in units of their own, so that only shares can be put together. They add up to how
        far the ensemble's raw score lies above the lowest one.
        """
        raw, scores = self._mean_at(panel, rows)
        total = np.zeros((len(rows), panel.n_features))
        for name, member in self.members_.items():
            parts = np.maximum(member._explain(panel, rows).attributions, 0.0)
            share = parts / np.maximum(parts.sum(axis=1, keepdims=True), 1e-12)
            total += share * np.clip(scores[name], 0.05, BOUNDS[1])[:, None] * WEIGHTS.get(name, 1.0)
        size = total.sum(axis=1, keepdims=True)
        total = np.where(size > 0, total / np.maximum(size, 1e-12), 1.0 / panel.n_features)
        lowest = np.full(len(rows), BOUNDS[0])
        return Explanation(panel.features, total * (raw - lowest)[:, None], lowest, raw)

    def _expect(self, panel: Panel) -> Expectation | None:
        """What the first member that predicts values expects."""
        for member in self.members_.values():
            expectation = member._expect(panel)
            if expectation is not None:
                return expectation
        return None

    def _facts(self) -> dict[str, Any]:
        members = getattr(self, "members_", {})
        return {**super()._facts(), "members": ", ".join(members)} if members else super()._facts()

    def _fit(self, panel: Panel) -> None:
        raise AssertionError("an ensemble fits through its members")

    def _to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[np.generic]]]:
        return {}, {}

    def _from_arrays(self, values: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        """Everything is in the members."""
