"""Ensemble: the weighted mean of the raw scores of several detectors, calibrated as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foreshock_models.calibration.budget import Budget
from foreshock_models.detectors._detector import Detector
from foreshock_models.detectors._holdout import check_enough, hold_back
from foreshock_models.detectors._results import Expectation, Scores
from foreshock_models.detectors._scorer import Arrays, Scorer
from foreshock_models.detectors.registry import default_detectors, make
from foreshock_models.distrust import distrusted, without
from foreshock_models.errors import ConfigError
from foreshock_models.explain.explanation import Explanation
from foreshock_models.panel import Panel
from foreshock_models.state import State

__all__ = ["Ensemble", "EnsembleScorer"]

WEIGHTS = {"covariance": 3.0}
"""Weight of a member; others have 1."""
UNIT_QUANTILE, UNIT_QUANTILE_OF_ONE = 0.9, 0.99
"""The raw score of a member is divided by this quantile of its held-back rows; on a single feature, where scores
are distances with a heavy tail, by a higher one."""


class Ensemble(Detector):
    """Weighted mean of the raw scores of its members, each in units of a somewhat unusual row.

    It is a sum of the members' scores, so its attributions are sums of theirs, and add up where theirs do. Only the
    mean is calibrated as rows arrive: members that adapt on their own would soon disagree about what is usual.
    `Scores.members` are on the scale of training.

    Parameters
    ----------
    members
        Name to detector; default: those that suit the number of features (`default_detectors`).
    contamination
        Share of the training rows that `predict` calls outliers.
    random_state
        Seed of the default members.

    Attributes
    ----------
    members_
        Name to fitted detector.

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
    exact_attributions = True
    scorer_: EnsembleScorer
    members_: dict[str, Detector]

    def __init__(
        self,
        members: Mapping[str, Detector] | None = None,
        *,
        contamination: float = 0.01,
        random_state: int = 0,
    ) -> None:
        super().__init__(contamination=contamination, random_state=random_state)
        self.members = members

    @classmethod
    def check_cases(cls) -> Sequence[Self]:
        return (cls({"iforest": make("iforest", n_trees=20), "subspace": make("subspace", window=8)}),)

    def fit(
        self,
        X: Any,
        y: object = None,
        *,
        entities: ArrayLike | None = None,
        budget: Budget | None = None,
        trust: bool = False,
    ) -> Self:
        """Fit every member on the same rows, then calibrate their mean; see `Detector.fit`."""
        panel = Panel.of(X, entities=entities)
        check_enough(panel, self.name)
        members = self.members
        if members is None:
            members = {
                name: make(name, random_state=self.random_state) for name in default_detectors(panel.n_features)
            }
        learnt = panel if trust else without(panel, distrusted(panel))
        fitted = {name: member.fit(learnt, budget=budget, trust=True) for name, member in members.items()}
        self.join(fitted, learnt, budget, trust=True)
        if learnt is not panel:
            self._set_decision_scores(self.scorer_.score(panel))
        return self

    def join(
        self, fitted: Mapping[str, Detector], X: Any, budget: Budget | None = None, *, trust: bool = False
    ) -> Self:
        """Compose detectors that were fitted on the rows `X` elsewhere, and calibrate their mean.

        Parameters
        ----------
        trust
            As in `fit`.

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
        self._set_features(panel.features)
        self.baseline_ = next(iter(fitted.values())).baseline_
        _, held_back = hold_back(panel)
        learnt = panel if trust else without(panel, distrusted(panel))
        raw = {
            name: member.decision_scores_ if learnt is panel else member.scorer_.score(learnt)
            for name, member in fitted.items()
        }
        panel = learnt
        quantile = UNIT_QUANTILE if panel.n_features > 1 else UNIT_QUANTILE_OF_ONE
        units = {name: _unit(values[held_back], quantile) for name, values in raw.items()}
        self.scorer_ = self._compose(units)
        self._calibrate_on(self.scorer_.combine(raw), panel, held_back, budget)
        return self

    def score_raw(
        self, raw: Mapping[str, NDArray[np.float64]], X: Any, *, since: int | None = None
    ) -> NDArray[np.float64]:
        """Return what `score` does of rows `X` ``(n_rows,)``, from the raw scores of each member ``(n_rows,)``.

        Parameters
        ----------
        since
            As in `score`; the raw scores are those of the rows from then on.
        """
        panel = self._panel(X, None)
        rows = np.arange(panel.n_rows)
        if since is not None:
            rows = panel.rows_since(np.full(panel.n_entities, since))
        return self._judge(panel, rows, self.state_, dict(raw))[-1].score

    def recalibrate(self, budget: Budget) -> Self:
        for member in self.members_.values():
            member.recalibrate(budget)
        return super().recalibrate(budget)

    def _score(self, panel: Panel, rows: NDArray[np.int64], state: State) -> Scores:
        context, kept, away, done = self._judge(panel, rows, state)
        members = {
            name: self.members_[name].calibrator_.apply_as_trained(values, kept, away)
            for name, values in context.parts.items()
        }
        return Scores(kept, done.score, context.raw, done.warming, done.state, members, done.new_normal)

    def _score_parts(self, panel: Panel, rows: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        return self.scorer_.score_members(panel, rows)

    def _combine_parts(self, parts: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        return self.scorer_.combine(parts)

    def _facts(self) -> dict[str, Any]:
        members = getattr(self, "members_", {})
        return {**super()._facts(), "members": ", ".join(members)} if members else super()._facts()

    def _compose(self, units: Mapping[str, float]) -> EnsembleScorer:
        weights = {name: WEIGHTS.get(name, 1.0) for name in self.members_}
        return EnsembleScorer({name: member.scorer_ for name, member in self.members_.items()}, weights, units)

    def _fit_scorer(self, panel: Panel) -> EnsembleScorer:
        raise AssertionError("an ensemble fits through its members")

    def _load_scorer(self, values: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> EnsembleScorer:
        return self._compose(values["units"])


class EnsembleScorer(Scorer):
    """Weighted mean of raw scores.

    Parameters
    ----------
    scorers, weights, units
        Name of each member to its scorer, its weight, and the raw score that counts as 1.
    """

    def __init__(
        self, scorers: Mapping[str, Scorer], weights: Mapping[str, float], units: Mapping[str, float]
    ) -> None:
        self.scorers = dict(scorers)
        self.units = dict(units)
        self.factors = {name: w / sum(weights.values()) / units[name] for name, w in weights.items()}

    @property
    def context(self) -> int:
        return max(scorer.context for scorer in self.scorers.values())

    def score_members(self, panel: Panel, rows: NDArray[np.int64] | None) -> dict[str, NDArray[np.float64]]:
        """Return the raw scores of each member ``(n,)``."""
        return {name: scorer.score(panel, rows) for name, scorer in self.scorers.items()}

    def combine(self, raw: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """Return the weighted mean of the members' raw scores ``(n,)``."""
        return reduce(np.add, [self.factors[name] * values for name, values in raw.items()])

    def score(self, panel: Panel, rows: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        return self.combine(self.score_members(panel, rows))

    def attribute(self, panel: Panel, rows: NDArray[np.int64]) -> Explanation:
        found = {name: scorer.attribute(panel, rows) for name, scorer in self.scorers.items()}
        attributions = np.sum([self.factors[name] * e.attributions for name, e in found.items()], axis=0)
        base = np.sum([self.factors[name] * e.base for name, e in found.items()], axis=0)
        raw = self.combine({name: e.raw for name, e in found.items()})
        return Explanation(panel.features, attributions, base, raw)

    def expect(self, panel: Panel) -> Expectation | None:
        """Return the expectation of the first member that predicts values."""
        for scorer in self.scorers.values():
            expectation = scorer.expect(panel)
            if expectation is not None:
                return expectation
        return None

    def to_arrays(self) -> Arrays:
        return {"units": self.units}, {}


def _unit(raw: NDArray[np.float64], quantile: float) -> float:
    """That quantile, kept above 0 where nearly all rows score 0."""
    unit = float(np.quantile(raw, quantile) + 1e-3 * raw.max())
    return unit if unit > 0 else 1.0
