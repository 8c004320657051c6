"""Several detectors as one: the mean of their raw scores, each in units of its own, calibrated together."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foreshock_models.calibration.budget import Budget
from foreshock_models.calibration.state import State
from foreshock_models.detectors._base import HOLD_BACK, Detector, Expectation, Scores, hold_back
from foreshock_models.errors import ConfigError
from foreshock_models.explain.explanation import Explanation
from foreshock_models.panel import Panel

__all__ = ["Ensemble"]

WEIGHTS = {"iforest": 3.0}
"""How much a member counts among several features; others 1, and all 1 on a single feature."""
USUAL, USUAL_OF_ONE = 0.9, 0.99
"""A member's raw score is measured in what it gives to one in ten of the held-back rows; on a single feature, where
scores are distances with a heavy tail, to one in a hundred."""


class Ensemble(Detector):
    """The weighted mean of its members' raw scores, each in units of what it gives to a row somewhat unusual.

    A sum of the members' scores, so that its attributions are the sums of theirs, and add up where theirs do.
    Only the mean is calibrated as rows come in: members that each adapt on their own would soon disagree about what
    is usual. `Scores.members` are on the scale of training.

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
        raw = {name: member.decision_scores_ for name, member in fitted.items()}
        usual = USUAL if panel.n_features > 1 else USUAL_OF_ONE
        self._measure({name: _unit(values[tail], usual) for name, values in raw.items()})
        self._conclude(self._mean(raw), panel, tail, budget)
        return self

    def score_raw(self, raw: Mapping[str, NDArray[np.float64]], X: Any) -> NDArray[np.float64]:
        """Calibrated scores ``(n_rows,)`` of rows whose raw scores by each member ``(n_rows,)`` are at hand."""
        return self.calibrator_.apply(self._mean(raw), self._panel(X, None), self.state_).score

    def recalibrate(self, budget: Budget) -> Self:
        for member in self.members_.values():
            member.recalibrate(budget)
        return super().recalibrate(budget)

    def _members(self, panel: Panel) -> Mapping[str, Detector]:
        if self.members is not None:
            return self.members
        from foreshock_models.detectors import default_detectors, make

        return {name: make(name, random_state=self.random_state) for name in default_detectors(panel.n_features)}

    def _measure(self, units: dict[str, float]) -> None:
        """Take these units, and what a member's raw score is multiplied by."""
        several = self.n_features_in_ > 1
        weights = {name: WEIGHTS.get(name, 1.0) if several else 1.0 for name in self.members_}
        self.units_ = units
        self.shares_ = {name: w / sum(weights.values()) / units[name] for name, w in weights.items()}

    def _mean(self, raw: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """Of the members' raw scores, ``(n_rows,)`` each."""
        return reduce(np.add, [self.shares_[name] * values for name, values in raw.items()])

    def _decision(self, panel: Panel) -> NDArray[np.float64]:
        return self._mean({name: member._decision(panel) for name, member in self.members_.items()})

    def _decision_at(self, panel: Panel, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return self._mean(self._raw_at(panel, rows))

    def _raw_at(self, panel: Panel, rows: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        return {name: member._decision_at(panel, rows) for name, member in self.members_.items()}

    def _score(self, panel: Panel, rows: NDArray[np.int64], state: State) -> Scores:
        members = self._raw_at(panel, rows)
        raw = self._mean(members)
        kept = panel if len(rows) == panel.n_rows else panel.pick(rows)
        done = self.calibrator_.apply(raw, kept, state)
        return Scores(
            panel=kept,
            score=done.score,
            raw=raw,
            warming=done.warming,
            state=done.state,
            members={n: self.members_[n].calibrator_.static(values, kept) for n, values in members.items()},
            new_normal=done.new_normal,
        )

    def _explain(self, panel: Panel, rows: NDArray[np.int64]) -> Explanation:
        """The members' attributions, added up as their raw scores are."""
        found = {name: member._explain(panel, rows) for name, member in self.members_.items()}
        shares = self.shares_
        attributions = np.sum([shares[name] * e.attributions for name, e in found.items()], axis=0)
        base = np.sum([shares[name] * e.base for name, e in found.items()], axis=0)
        return Explanation(panel.features, attributions, base, self._mean({n: e.raw for n, e in found.items()}))

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
        return {"units": self.units_}, {}

    def _from_arrays(self, values: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        self._measure(values["units"])


def _unit(raw: NDArray[np.float64], usual: float) -> float:
    """That quantile, kept from 0 where nearly all rows score nothing."""
    unit = float(np.quantile(raw, usual) + 1e-3 * raw.max())
    return unit if unit > 0 else 1.0
