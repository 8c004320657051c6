"""What every detector has in common: validation, PyOD's conventions, calibration, explanation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foreshock_models.calibration.budget import Budget
from foreshock_models.calibration.calibrator import Calibrator
from foreshock_models.calibration.state import State
from foreshock_models.detectors._scores import Expectation, Scores
from foreshock_models.detectors._space import Space
from foreshock_models.display import facts_html
from foreshock_models.errors import NotEnoughData, NotFitted
from foreshock_models.estimator import Estimator
from foreshock_models.explain.explanation import Explanation
from foreshock_models.explain.movement import lookback, movement, weigh
from foreshock_models.panel import Panel
from foreshock_models.policy.profile import Profile

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["HOLD_BACK", "Detector", "Expectation", "Scores", "hold_back"]


HOLD_BACK = 0.25
"""Share of the training rows, the newest, that calibration is learnt from and the model never sees."""
MIN_ROWS = 50
"""Fewer rows with a sample than this cannot be called a history."""


class Detector(Estimator, ABC):
    """Base of all detectors: public methods validate, a subclass writes the hooks below.

    A higher raw score is more anomalous. Rows are in time order, entity by entity; a raw score looks at its
    own row and at the `context` rows before it, never at one after it.

    Attributes
    ----------
    decision_scores_ : (n_rows,) raw scores of the training rows
    threshold_ : raw score above which `predict` says 1 (the `contamination` quantile, as in PyOD)
    labels_ : (n_rows,) 0 or 1 for the training rows
    features_in_ : names of the features, in order
    state_ : `State` at the end of training, where `score` begins
    profile_ : `Profile` of usual values by hour of the day
    """

    name: ClassVar[str]

    def __init__(self, *, contamination: float = 0.01, random_state: int = 0) -> None:
        self.contamination = contamination
        self.random_state = random_state

    @classmethod
    def search_space(cls, n_features: int) -> Space:
        """What a search may try, for rows of so many features; empty if there is nothing to tune."""
        return {}

    # -- hooks -----------------------------------------------------------------------------------------
    @property
    @abstractmethod
    def context(self) -> int:
        """Rows before a row that its raw score looks at."""

    @abstractmethod
    def _fit(self, panel: Panel) -> None:
        """Learn from `panel`; gaps are NaN."""

    def _gauge(self, panel: Panel, held_back: NDArray[np.bool_]) -> None:
        """Measure what is usual on all training rows, those included that it did not learn from.

        ``held_back`` ``(n_rows,)``: these. Called after `_fit`, before any raw score is asked for.
        """

    @abstractmethod
    def _decision(self, panel: Panel) -> NDArray[np.float64]:
        """Raw score ``(n_rows,)``, finite, of every row; a row without any value gets the lowest."""

    def _decision_at(self, panel: Panel, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Raw score of some rows ``(n,)``, their numbers increasing: what a live scorer asks for, at each step.

        Override it where that costs less than the score of every row.
        """
        return self._decision(panel)[rows]

    def learns_from(self, n_rows: int) -> int:
        """Rows that fitting on `n_rows` goes through step by step, each as often as it does; for estimates."""
        return 0

    @abstractmethod
    def _explain(self, panel: Panel, rows: NDArray[np.int64]) -> Explanation:
        """Attributions of the raw score of ``rows``."""

    def _expect(self, panel: Panel) -> Expectation | None:
        """What was expected of each feature, where the detector can say."""
        return None

    @abstractmethod
    def _to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[np.generic]]]:
        """What was learnt: JSON values, and arrays. With the parameters, enough for `_from_arrays`."""

    @abstractmethod
    def _from_arrays(self, values: dict[str, Any], arrays: dict[str, NDArray[np.generic]]) -> None:
        """Take back what `_to_arrays` gave."""

    # -- PyOD's conventions ----------------------------------------------------------------------------
    def fit(
        self, X: Any, y: object = None, *, entities: ArrayLike | None = None, budget: Budget | None = None
    ) -> Self:
        """Learn what is normal, and calibrate the score to a budget of false alerts.

        Parameters
        ----------
        X
            Rows, ``(n_rows, n_features)``: a window, a `Panel`, a DataFrame or an array.
        y
            Not used; there for PyOD's and scikit-learn's tools.
        entities
            ``(n_rows,)`` entity of each row, where `X` does not carry it.
        budget
            False alerts per entity and time; default 1 per week.
        """
        panel = Panel.of(X, entities=entities)
        self._check_enough(panel)
        self.features_in_ = panel.features
        self.n_features_in_ = panel.n_features
        self.profile_ = Profile.fit(panel)
        self._fit(hold_back(panel, HOLD_BACK)[0])
        return self.calibrate(panel, budget)

    def calibrate(self, X: Any, budget: Budget | None = None) -> Self:
        """The last step of `fit`, on the same rows: calibrate by the newest, which the model was not made of."""
        panel = self._panel(X, None)
        _, tail = hold_back(panel, HOLD_BACK)
        self._gauge(panel, tail)
        self._conclude(self._decision(panel), panel, tail, budget)
        return self

    def decision_function(self, X: Any, *, entities: ArrayLike | None = None) -> NDArray[np.float64]:
        """Raw score ``(n_rows,)`` of each row; higher is more anomalous."""
        return self._decision(self._panel(X, entities))

    def predict_proba(self, X: Any, *, entities: ArrayLike | None = None) -> NDArray[np.float64]:
        """Probability of being normal and of being an outlier ``(n_rows, 2)``: the raw score, scaled as in PyOD."""
        low, high = self._range_
        share = (self.decision_function(X, entities=entities) - low) / max(high - low, 1e-12)
        outlier = np.clip(share, 0.0, 1.0)
        return np.column_stack([1 - outlier, outlier])

    def predict(self, X: Any, *, entities: ArrayLike | None = None) -> NDArray[np.int64]:
        """1 for an outlier, 0 for an inlier, ``(n_rows,)``."""
        return (self.decision_function(X, entities=entities) > self.threshold_).astype(np.int64)

    # -- Foreshock's own ------------------------------------------------------------------------------
    def score(
        self,
        X: Any,
        *,
        entities: ArrayLike | None = None,
        since: int | datetime | NDArray[np.int64] | None = None,
        state: State | None = None,
    ) -> Scores:
        """Calibrated scores; 1.0 is the alert line.

        Parameters
        ----------
        since
            A time, or milliseconds since the epoch, one for all or ``(n_entities,)``: rows before it are context
            only, neither calibrated nor returned.
        state
            Where calibration stands for each entity; default the end of training. An entity that is not in
            it starts from the shared state and is `warming`.

        Scoring a series in one call or in consecutive calls (with `context` rows before `since`, and the
        state of the call before) gives the same scores.
        """
        panel = self._panel(X, entities)
        state = self.state_ if state is None else state
        if since is None:
            return self._score(panel, np.arange(panel.n_rows), state)
        if isinstance(since, datetime):
            since = round(since.timestamp() * 1000)
        if not isinstance(since, np.ndarray):
            since = np.full(panel.n_entities, since)
        return self._score(panel, panel.rows_since(since), state)

    def explain(
        self,
        X: Any,
        rows: ArrayLike | None = None,
        *,
        entities: ArrayLike | None = None,
        weighed: bool = True,
    ) -> Explanation:
        """Attribution of the raw score to each feature, by SHAP.

        Parameters
        ----------
        rows
            Numbers of the rows to explain (default: all); the rows before them are their context.
        weighed
            Share what raised a score out anew by how far each feature has moved within the hour
            (`foreshock_models.explain.movement`); False: the Shapley values as they are. Both have the same sum.
        """
        panel = self._panel(X, entities)
        chosen = np.arange(panel.n_rows) if rows is None else np.atleast_1d(np.asarray(rows, dtype=np.int64))
        numbers, back = np.unique(chosen, return_inverse=True)
        part, places = _excerpt(panel, numbers, max(self.context, lookback(panel.step)))
        found = self._explain(part, places)
        attributions = found.attributions
        if weighed:
            attributions = weigh(attributions, movement(part, places, self.profile_.reach_of(part)))
        return Explanation(
            panel.features,
            attributions[back],
            found.base[back],
            found.raw[back],
            panel.timestamps[chosen],
            tuple(panel.entities[code] for code in panel.codes[chosen]),
        )

    def plot_explanation(self, X: Any, row: int | None = None, *, entities: ArrayLike | None = None) -> Figure:
        """The attributions of one row as a matplotlib figure, with observed and usual values.

        `row`: its number; default: the one with the highest raw score.
        """
        from foreshock_models.explain.figure import explanation_figure

        panel = self._panel(X, entities)
        chosen = int(np.argmax(self._decision(panel))) if row is None else range(panel.n_rows)[row]
        usual = self.usual(panel).expected[chosen]
        return explanation_figure(self.explain(panel, [chosen]), panel.values[chosen], usual)

    def expect(self, X: Any, *, entities: ArrayLike | None = None) -> Expectation | None:
        """Expected value and its band for each feature, or None if this detector does not predict values."""
        return self._expect(self._panel(X, entities))

    def usual(self, X: Any, *, entities: ArrayLike | None = None) -> Expectation:
        """What each feature is on a usual day at that hour, and its band; NaN where the entity is unknown."""
        lower, middle, upper = self.profile_.at(self._panel(X, entities))
        return Expectation(middle, lower, upper)

    def recalibrate(self, budget: Budget) -> Self:
        """Move the alert line to another budget, without training."""
        self.calibrator_.recalibrate(budget)
        self.state_ = self.calibrator_.state
        return self

    # -- in notebooks -----------------------------------------------------------------------------------
    def __repr__(self) -> str:
        """The parameters, and what it was fitted on."""
        text = super().__repr__()
        if not hasattr(self, "features_in_"):
            return text
        return f"{text}, fitted on {len(self.state_.entities)} entities x {len(self.features_in_)} features"

    def _repr_html_(self) -> str:
        return facts_html(repr(self), self._facts())

    def _facts(self) -> dict[str, Any]:
        """What a person wants to know of a fitted detector."""
        if not hasattr(self, "features_in_"):
            return {"state": "not fitted yet: call fit(windows)"}
        return {
            "features": ", ".join(self.features_in_),
            "entities": len(self.state_.entities),
            "false alerts": f"{self.calibrator_.budget} and entity: a score of 1.0 is the line",
            "looks back": f"{self.context} rows",
        }

    # -- inside ----------------------------------------------------------------------------------------
    def _conclude(
        self, raw: NDArray[np.float64], panel: Panel, tail: NDArray[np.bool_], budget: Budget | None
    ) -> None:
        """Calibrate on the held-back rows, whose scores may look at the rows before them, and set PyOD's names."""
        calibrator = Calibrator(budget or Budget.parse("1 per week"), relative=panel.n_features == 1)
        self.calibrator_ = calibrator.fit(raw[tail], panel.take(tail))
        self.state_ = self.calibrator_.state
        self.decision_scores_ = raw
        self.threshold_ = float(np.quantile(raw, 1 - self.contamination))
        self.labels_ = (raw > self.threshold_).astype(np.int64)
        self._range_ = (float(raw.min()), float(raw.max()))

    def _score(self, panel: Panel, rows: NDArray[np.int64], state: State) -> Scores:
        """Of the rows with these numbers, increasing."""
        raw = self._decision_at(panel, rows)
        kept = panel if len(rows) == panel.n_rows else panel.pick(rows)
        done = self.calibrator_.apply(raw, kept, state)
        return Scores(kept, done.score, raw, done.warming, done.state, new_normal=done.new_normal)

    def _check_enough(self, panel: Panel) -> None:
        filled = int((~np.isnan(panel.values)).any(axis=1).sum())
        if filled < MIN_ROWS:
            raise NotEnoughData(
                f"{filled} rows with a sample are too few to fit {self.name}: it needs at least {MIN_ROWS}; "
                "take a longer history or a smaller step"
            )

    def _panel(self, X: Any, entities: ArrayLike | None) -> Panel:
        if not hasattr(self, "features_in_"):
            raise NotFitted(f"this {type(self).__name__} is not fitted yet: call fit(windows) first")
        return Panel.of(X, entities=entities).require(self.features_in_)


def _excerpt(panel: Panel, rows: NDArray[np.int64], context: int) -> tuple[Panel, NDArray[np.int64]]:
    """Increasing `rows` with what their scores look at, and their numbers in it: less to compute, and at once.

    Each stretch is a block of its own, so that an entity may be there several times.
    """
    codes = panel.codes[rows]
    firsts = np.maximum(rows - context, panel.offsets[codes])
    begins = np.r_[True, (firsts[1:] > rows[:-1]) | np.diff(codes).astype(bool)]
    starts = np.flatnonzero(begins)
    lengths = rows[np.r_[starts[1:], len(rows)] - 1] + 1 - firsts[starts]
    offsets = np.r_[0, np.cumsum(lengths)]
    skipped = firsts[starts] - offsets[:-1]
    kept = np.arange(offsets[-1]) + np.repeat(skipped, lengths)
    names = tuple(panel.entities[code] for code in codes[starts])
    part = Panel(panel.values[kept], offsets, names, panel.features, panel.timestamps[kept], panel.step)
    return part, rows - skipped[np.cumsum(begins) - 1]


def hold_back(panel: Panel, share: float) -> tuple[Panel, NDArray[np.bool_]]:
    """The older rows to fit on, and a mask ``(n_rows,)`` of the newer ones to calibrate on."""
    lengths = np.diff(panel.offsets)
    cut = np.repeat(lengths - np.floor(lengths * share).astype(np.int64), lengths)
    tail: NDArray[np.bool_] = panel.positions >= cut
    return panel.take(~tail), tail
