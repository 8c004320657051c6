"""The detector: a scorer, a calibrator and an explainer, composed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foreshock_models.calibration.budget import Budget
from foreshock_models.calibration.calibrator import Calibrated, Calibrator
from foreshock_models.detectors._display import NotebookDisplay
from foreshock_models.detectors._holdout import calibration_rows, check_enough, hold_back
from foreshock_models.detectors._pyod_conventions import PyODConventions
from foreshock_models.detectors._recovery import Context
from foreshock_models.detectors._results import Expectation, Scores
from foreshock_models.detectors._scorer import Scorer
from foreshock_models.detectors._search_space import Space
from foreshock_models.distrust import distrusted, without
from foreshock_models.errors import NotFitted
from foreshock_models.explain.explainer import Explainer, Method
from foreshock_models.explain.explanation import Explanation
from foreshock_models.panel import Panel
from foreshock_models.state import State
from foreshock_models.usual_values import Baseline

__all__ = ["Detector"]


class Detector(NotebookDisplay, PyODConventions):
    """Base of all detectors.

    A detector is a set of parameters. `fit` makes a `Scorer` of them, which computes raw scores, and composes it
    with a `Calibrator`, which puts these on a scale where 1.0 is the alert line, and an `Explainer`. A subclass
    takes the parameters of its algorithm and writes two hooks: `_fit_scorer` and `_load_scorer`.

    Rows are in time order, entity by entity. Public methods validate; hooks get a `Panel`.

    Attributes
    ----------
    features_in_
        Names of the features, in order.
    scorer_, calibrator_, explainer_
        The parts.
    baseline_
        Usual values by hour of the day.
    state_
        Calibration at the end of training, where `score` begins.
    """

    name: ClassVar[str]
    exact_attributions: ClassVar[bool] = False
    """True if attributions add up to the raw score exactly, not as an estimate."""
    features_in_: tuple[str, ...]
    n_features_in_: int
    scorer_: Scorer
    calibrator_: Calibrator
    baseline_: Baseline
    state_: State

    def __init__(self, *, contamination: float = 0.01, random_state: int = 0) -> None:
        self.contamination = contamination
        self.random_state = random_state

    @classmethod
    def search_space(cls, n_features: int) -> Space:
        """Return the parameters that a search may vary for rows of `n_features` features; default: none."""
        return {}

    @classmethod
    def check_cases(cls) -> Sequence[Self]:
        """Return instances for the check suite, small enough to be fitted in about a second."""
        return (cls(),)

    def skipped_checks(self) -> Mapping[str, str]:
        """Return the checks of `foreshock_models.checks` that are invalid for this detector, with the reason.

        The key is the name of a check, or ``name[1]`` for rows of one feature only.
        """
        return {}

    # -- hooks -----------------------------------------------------------------------------------------
    @abstractmethod
    def _fit_scorer(self, panel: Panel) -> Scorer:
        """Fit a scorer on `panel`; gaps are NaN."""

    @abstractmethod
    def _load_scorer(self, values: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Scorer:
        """Restore a scorer from `Scorer.to_arrays`."""

    def _new_calibrator(self, budget: Budget) -> Calibrator:
        """Return a calibrator that is not fitted yet."""
        return Calibrator(budget, relative=self.n_features_in_ == 1)

    def learns_from(self, n_rows: int) -> int:
        """Return how many rows a fit on `n_rows` rows goes through step by step, for estimates of its duration."""
        return 0

    # -- fitting ---------------------------------------------------------------------------------------
    def fit(
        self,
        X: Any,
        y: object = None,
        *,
        entities: ArrayLike | None = None,
        budget: Budget | None = None,
        trust: bool = False,
    ) -> Self:
        """Learn what is normal, and calibrate the score to a budget of false alerts.

        Rows that look like an incident (`foreshock_models.distrust`) are not learnt from.

        Parameters
        ----------
        X
            Rows ``(n_rows, n_features)``: a window, a `Panel`, a DataFrame or an array.
        y
            Not used; there for the tools of PyOD and scikit-learn.
        entities
            ``(n_rows,)``: entity of each row, where `X` does not carry it.
        budget
            False alerts per entity and time; default: 1 per week.
        trust
            Learn from all rows: incidents were left out before.

        Raises
        ------
        DataError
            Rows that are not numbers, infinite, or not sorted by entity.
        NotEnoughData
            Too few rows with a sample.
        """
        panel = Panel.of(X, entities=entities)
        check_enough(panel, self.name)
        self._set_features(panel.features)
        learnt = panel if trust else without(panel, distrusted(panel))
        self.baseline_ = Baseline.fit(learnt)
        self.scorer_ = self._fit_scorer(hold_back(learnt)[0])
        self.calibrate(learnt, budget, trust=True)
        if learnt is not panel:
            self._set_decision_scores(self.scorer_.score(panel))
        return self

    def calibrate(self, X: Any, budget: Budget | None = None, *, trust: bool = False) -> Self:
        """Calibrate on the newest of the training rows `X`, which the scorer did not see; `fit` ends with it."""
        panel = self._panel(X, None)
        panel = panel if trust else without(panel, distrusted(panel))
        _, held_back = hold_back(panel)
        self.scorer_.fit_scale(panel, held_back)
        self._calibrate_on(self.scorer_.score(panel), panel, held_back, budget)
        return self

    def recalibrate(self, budget: Budget) -> Self:
        """Move the alert line to another budget, without training."""
        self.calibrator_.recalibrate(budget)
        self.state_ = self.calibrator_.state
        return self

    # -- scoring ---------------------------------------------------------------------------------------
    @property
    def context(self) -> int:
        """Rows before a row that its score looks at."""
        return self.scorer_.context

    @property
    def explainer_(self) -> Explainer:
        """Explainer of the raw scores."""
        return Explainer(self.scorer_, self.baseline_, self.random_state)

    def decision_function(self, X: Any, *, entities: ArrayLike | None = None) -> NDArray[np.float64]:
        """Return the raw score of each row ``(n_rows,)``; higher is more anomalous."""
        return self.scorer_.score(self._panel(X, entities))

    def score(
        self,
        X: Any,
        *,
        entities: ArrayLike | None = None,
        since: int | datetime | NDArray[np.int64] | None = None,
        state: State | None = None,
    ) -> Scores:
        """Return calibrated scores; 1.0 is the alert line.

        Scoring a series in one call or in consecutive calls, each with `context` rows before `since` and the
        state of the call before, gives the same scores.

        Parameters
        ----------
        X, entities
            As in `fit`.
        since
            A time, or milliseconds since the epoch, one for all or ``(n_entities,)``: rows before it are context
            only, neither calibrated nor returned.
        state
            Calibration of each entity before the first row; default: the end of training. An entity that is not in
            it starts from the shared state and is `warming`.

        Raises
        ------
        NotFitted
            Before `fit`.
        DataError
            Rows without a feature that the detector was fitted on.
        """
        panel = self._panel(X, entities)
        rows = np.arange(panel.n_rows) if since is None else _rows_since(panel, since)
        return self._score(panel, rows, self.state_ if state is None else state)

    def explain(
        self,
        X: Any,
        rows: ArrayLike | None = None,
        *,
        entities: ArrayLike | None = None,
        method: Method = "shap",
        reweighted: bool = True,
    ) -> Explanation:
        """Return the attribution of the raw score to each feature, by SHAP or LIME.

        Parameters
        ----------
        X, entities
            As in `fit`.
        rows
            Numbers of the rows to explain ``(n,)``; default: all. The rows before them are their context.
        method, reweighted
            As in `Explainer.explain`.
        """
        panel = self._panel(X, entities)
        chosen = np.arange(panel.n_rows) if rows is None else np.atleast_1d(np.asarray(rows, dtype=np.int64))
        return self.explainer_.explain(panel, chosen, method=method, reweighted=reweighted)

    def expect(self, X: Any, *, entities: ArrayLike | None = None) -> Expectation | None:
        """Return the expected value of each feature and its band; None if this detector predicts no values."""
        return self.scorer_.expect(self._panel(X, entities))

    def usual(self, X: Any, *, entities: ArrayLike | None = None) -> Expectation:
        """Return the usual value of each feature at that hour and its band; NaN where it is unknown."""
        lower, middle, upper = self.baseline_.at(self._panel(X, entities))
        return Expectation(middle, lower, upper)

    # -- inside ----------------------------------------------------------------------------------------
    def _facts(self) -> dict[str, Any]:
        if not hasattr(self, "features_in_"):
            return {"state": "not fitted yet: call fit(windows)"}
        return {
            "features": ", ".join(self.features_in_),
            "entities": len(self.state_.entities),
            "false alerts": f"{self.calibrator_.budget} and entity: a score of 1.0 is the line",
            "looks back": f"{self.context} rows",
        }

    def _set_features(self, features: tuple[str, ...]) -> None:
        self.features_in_ = features
        self.n_features_in_ = len(features)

    def _calibrate_on(
        self, raw: NDArray[np.float64], panel: Panel, held_back: NDArray[np.bool_], budget: Budget | None
    ) -> None:
        """Fit the calibrator on the held-back rows, or on a whole week where that scores higher."""
        held_back = calibration_rows(raw, panel, held_back)
        calibrator = self._new_calibrator(budget or Budget.parse("1 per week"))
        kept = panel.take(held_back)
        self.calibrator_ = calibrator.fit(raw[held_back], kept, self.baseline_.deviation(kept))
        self.state_ = self.calibrator_.state
        self._set_decision_scores(raw)

    def _score(self, panel: Panel, rows: NDArray[np.int64], state: State) -> Scores:
        """Score the rows with these numbers, increasing."""
        context, kept, _, done = self._judge(panel, rows, state)
        return Scores(kept, done.score, context.raw, done.warming, done.state, new_normal=done.new_normal)

    def _judge(
        self,
        panel: Panel,
        rows: NDArray[np.int64],
        state: State,
        parts: dict[str, NDArray[np.float64]] | None = None,
    ) -> tuple[Context, Panel, NDArray[np.float64], Calibrated]:
        """Score rows, those of alerts that end on the way replaced: context, rows, their deviation, and scores."""
        replaced = self.calibrator_.replaced(state, panel.entities)
        context = Context(
            panel, rows, self.context, self.baseline_, replaced, self._score_parts, self._combine_parts,
            parts,
        )  # fmt: skip
        kept = panel if len(rows) == panel.n_rows else panel.pick(rows)
        away = self.baseline_.deviation(kept)
        rescore = context.rescore if self.context > 0 else None
        return context, kept, away, self.calibrator_.apply(context.raw, kept, state, away, rescore)

    def _score_parts(self, panel: Panel, rows: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """Raw scores of the members, of which a plain detector has one."""
        return {self.name: self.scorer_.score(panel, rows)}

    def _combine_parts(self, parts: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """Raw score that is calibrated ``(n,)``."""
        return parts[self.name]

    def _panel(self, X: Any, entities: ArrayLike | None) -> Panel:
        """Validate rows, and bring their columns into the order of the features."""
        if not hasattr(self, "features_in_"):
            raise NotFitted(f"this {type(self).__name__} is not fitted yet: call fit(windows) first")
        return Panel.of(X, entities=entities).require(self.features_in_)


def _rows_since(panel: Panel, since: int | datetime | NDArray[np.int64]) -> NDArray[np.int64]:
    if isinstance(since, datetime):
        since = round(since.timestamp() * 1000)
    if not isinstance(since, np.ndarray):
        since = np.full(panel.n_entities, since)
    return panel.rows_since(since)
