"""From raw scores to calibrated ones: 1.0 is the alert line, set by a budget of false alerts.

A score is ``log p / log p*``: p is the rate, per row, at which normal data of that entity raise an alert with a
raw score at least as high; p* is the rate that the budget allows. p comes from peaks over threshold [1]_: the
N-of-M filtered raw scores are declustered into events, and the excess of their peaks follows a generalised
Pareto tail. Because raw scores drift, an integral controller [2]_ keeps the long-run rate of alerts at the
budget: an alert moves the line up, less the higher its peak; each row moves it down by what the budget allows. A
score is 1 at the line as it is now, and elsewhere, where possible, what training says, so that scores far apart
in time stay comparable. Where most rows of some days are over the line, that level is accepted as the new
normal.

A score tells of now: where the values of the last rows are within their usual band, it is below 1, whatever came
before them.

Raw scores of a single feature drift most: they are divided by their own mean over the last week.

.. [1] Siffer et al., "Anomaly detection in streams with extreme value theory", KDD 2017.
.. [2] Gibbs and Candès, "Adaptive conformal inference under distribution shift", NeurIPS 2021.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from foreshock_models.calibration.budget import Budget
from foreshock_models.calibration.tail import Tail, fit_tail, nth_largest
from foreshock_models.kernels.compiled.calibration import (
    calibrate,
    relative_scores,
    score_as_trained,
    unit_scores,
)
from foreshock_models.kernels.constants import (
    HIGHEST_LINE,
    LOWEST_LINE,
    RECURRENCE_WINDOW_DAYS,
    UPPER_SHARE,
    WARM_UP_ROWS,
)
from foreshock_models.kernels.layout import (
    CALIBRATION,
    CALIBRATION_SETTINGS,
    N_REPLACED,
    RING_WIDTH,
    records,
    table_of,
    widened,
)
from foreshock_models.panel import Panel
from foreshock_models.saved_arrays import saved_array
from foreshock_models.state import State

__all__ = ["Calibrated", "Calibrator"]

YOUNG_DAYS = 1.0
"""Until so many days of rows were seen, an entity's location and spread are learnt from its rows."""
REGIME_DAYS = 1.65
"""Time constant, in days, of the share of rows over the line: two days of nothing else make a new normal."""
REGIME_ROWS = 120
"""The same in rows, where rows are rare."""
SLOW_DAYS = 7.0
"""Time constant, in days, of the mean that relative scores are divided by."""
TOLERATED = 0.9 * LOWEST_LINE
"""A row that a person called normal scores at most this: below the line, wherever the controller moves it."""
LEARNT = (
    "location", "spread", "threshold_shift", "line", "slow_mean", "training_mean", "recent_location",
    "recent_spread", "usual_deviation",
)  # fmt: skip
"""Fields that an unknown entity takes from those of training, as their median."""
MIN_UNIT = 1e-100
GAIN = 0.5
"""How far one alert that only just reached the line moves it."""
MIN_RECURRENCE_DAYS = 3
"""Days out of a week on which a score must have been over the line at about the same time to be a recurrence."""


Rescore = Callable[
    [NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]], tuple[NDArray[np.int64], NDArray[np.float64]]
]
"""See `Calibrator.apply`."""


@dataclass(frozen=True)
class Calibrated:
    """Result of `Calibrator.apply`.

    Parameters
    ----------
    score, warming
        ``(n_rows,)``: calibrated scores, and which rows are of entities without calibration of their own yet.
    state
        Where the entities stand after the last row.
    new_normal
        Entity and time, in ms, of each level that was accepted as the new normal.
    """

    score: NDArray[np.float64]
    warming: NDArray[np.bool_]
    state: State
    new_normal: tuple[tuple[str, int], ...]


@dataclass
class Calibrator:
    """Calibration of one detector for the entities of a job.

    Parameters
    ----------
    budget
        False alerts per entity and time.
    unit
        Scale of the raw scores, so that calibration does not depend on it.
    floor
        Lowest spread of an entity, in units of `unit`.
    relative
        Divide raw scores by their own mean over the last week: for a single feature.
    step
        Seconds between two rows of training.
    tail
        Tail shared by all entities, in units of each entity's own spread.
    state
        Where each entity stands at the end of training.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> normal = rng.exponential(size=5000)
    >>> calibrator = Calibrator(Budget.parse("1 per day")).fit(normal, Panel.of(normal))
    >>> more = np.r_[rng.exponential(size=500), np.full(5, 30.0)]
    >>> (calibrator.apply(more, Panel.of(more)).score[-3:] >= 1.0).tolist()
    [True, True, True]
    """

    budget: Budget = field(default_factory=lambda: Budget.parse("1 per week"))
    unit: float = 1.0
    floor: float = 1e-3
    relative: bool = False
    step: float = 60.0
    tail: Tail = field(default_factory=Tail)
    state: State = field(default_factory=State)
    _trained: tuple[State, NDArray[Any], NDArray[np.float32]] | None = field(
        default=None, repr=False, compare=False
    )
    _prepared: tuple[Any, NDArray[Any]] | None = field(default=None, repr=False, compare=False)

    def fit(self, raw: NDArray[np.float64], panel: Panel, deviation: NDArray[np.float64] | None = None) -> Self:
        """Learn from the raw scores ``(n_rows,)`` of held-back normal rows.

        Parameters
        ----------
        deviation
            ``(n_rows,)``: how far the values are outside of their usual band (`Baseline.deviation`); default: not
            known.
        """
        self.step = panel.step
        away = _known(deviation, panel)
        self.unit = _unit(raw)
        x = unit_scores(raw, self.unit)
        training_mean = np.array([max(float(x[rows].mean()), 1e-3) for _, rows in panel])
        slow_mean = training_mean.copy()
        if self.relative:
            x = relative_scores(x, panel.offsets, slow_mean, training_mean, self._slow_rate(panel.step))
        location = np.empty(panel.n_entities)
        spread = np.empty(panel.n_entities)
        for i, (_, rows) in enumerate(panel):
            location[i], spread[i] = _location_and_spread(x[rows])
        self.floor = max(float(np.median(spread)) * 0.25, 1e-3)
        spread = np.maximum(spread, self.floor)
        usual = np.array([_usual_deviation(away[rows]) for _, rows in panel])
        z = [(x[rows] - c) / s for (_, rows), c, s in zip(panel, location, spread, strict=True)]
        filtered = [nth_largest(values, *self.budget.votes) for values in z]
        self.tail = fit_tail(filtered)
        table = np.tile(_unseen_entity(), (panel.n_entities, 1))
        entities = records(table, CALIBRATION)
        learnt: dict[str, Any] = {
            "location": location, "spread": spread, "n_rows": panel.lengths, "slow_mean": slow_mean,
            "threshold_shift": [self.tail.own_shift(values) for values in filtered],
            "training_mean": training_mean, "recent_location": location, "recent_spread": spread,
            "usual_deviation": usual, "trained": 1.0,
        }  # fmt: skip
        for name, values in learnt.items():
            entities[name] = values
        self.state = _without_recurrence(panel.entities, table)
        return self

    def recalibrate(self, budget: Budget) -> None:
        """Move the line to another budget; the controller starts again, and recurrences are forgotten."""
        self.budget = budget
        table = self.state.arrays["calibration"].copy()
        records(table, CALIBRATION)["line"] = 1.0
        self.state = _without_recurrence(self.state.entities, table)

    def apply(
        self,
        raw: NDArray[np.float64],
        panel: Panel,
        state: State | None = None,
        deviation: NDArray[np.float64] | None = None,
        rescore: Rescore | None = None,
    ) -> Calibrated:
        """Score rows in time order, each with what was known before it; rows without a sample change nothing.

        Parameters
        ----------
        raw
            ``(n_rows,)`` raw scores of the rows of `panel`.
        state
            Where the entities stand before the first row; default: the end of training. An unknown entity starts
            from the median of those of training.
        deviation
            As in `fit`.
        rescore
            Called where alerts end, with the numbers of the entities, the numbers of their next rows, and the
            stretches that are replaced; returns the numbers of the rows whose raw score is another one now, and
            these scores.
        """
        places, known, known_rings = self._standing(self.state if state is None else state, panel.entities)
        raw, away, settings = np.ascontiguousarray(raw), _known(deviation, panel), self._settings(panel.step)
        rows = panel.values, panel.timestamps, panel.offsets
        stop = rescore is not None
        score, warming, regimes, entities, rings, stops = calibrate(
            raw, away, rows, places, known, known_rings, settings, stop
        )
        new_normal = [regimes]
        open_ = np.flatnonzero(stops < panel.offsets[1:])
        if rescore is not None and len(open_):
            raw = raw.copy()
        while rescore is not None and len(open_):
            changed, values = rescore(open_, stops[open_], entities["replaced_ms"][open_])
            raw[changed] = values
            rest = np.concatenate([np.arange(stops[e], panel.offsets[e + 1]) for e in open_])
            part = panel.pick(rest)
            more = calibrate(
                raw[rest], away[rest], (part.values, part.timestamps, part.offsets), np.arange(len(open_)),
                entities[open_], rings[open_], settings, True,
            )  # fmt: skip
            score[rest], warming[rest], entities[open_], rings[open_] = more[0], more[1], more[3], more[4]
            new_normal.append(rest[more[2]])
            stops[open_] += more[5] - part.offsets[:-1]
            open_ = open_[stops[open_] < panel.offsets[open_ + 1]]
        after = State(panel.entities, {"calibration": table_of(entities), "hours": rings})
        return Calibrated(score, warming, after, _named(np.concatenate(new_normal), panel))

    def apply_as_trained(
        self, raw: NDArray[np.float64], panel: Panel, deviation: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Score rows with the calibration as training left it: ``(n_rows,)``."""
        places, entities, _ = self._standing(self.state, panel.entities)
        score: NDArray[np.float64] = score_as_trained(
            np.ascontiguousarray(raw),
            _known(deviation, panel),
            panel.offsets,
            places,
            entities,
            self._settings(panel.step),
        )
        return score

    def tolerance(self, score: float) -> float:
        """Return how far a line must be raised, in the entity's spreads, so that `score` stays below it."""
        log_budget = self._log_budget(self.step)
        wanted = max(self.tail.quantile(TOLERATED * log_budget), self.tail.threshold)
        # near the line, a score on the scale of training may be as high as the line could be
        return max(self.tail.quantile(max(score, HIGHEST_LINE) * log_budget) - wanted, 0.0)

    @staticmethod
    def replaced(state: State, entities: tuple[str, ...]) -> NDArray[np.float64]:
        """Return first and last row, in ms, of the alerts of each entity that ended: ``(n_entities, n, 2)``."""
        places = state.places(entities)
        out = np.zeros((len(entities), N_REPLACED, 2))
        here = places >= 0
        if here.any():
            table = widened(state.arrays["calibration"][places[here]], CALIBRATION)
            out[here] = records(table, CALIBRATION)["replaced_ms"]
        return out

    @staticmethod
    def raise_line(state: State, entity: str, by: float) -> State:
        """Return the state with one entity's line raised by so many of its spreads (lowered, if negative)."""
        table = widened(state.arrays["calibration"], CALIBRATION).copy()
        chosen = np.array([name == entity for name in state.entities], np.bool_)
        records(table, CALIBRATION)["threshold_shift"][chosen] += by
        return State(state.entities, {**state.arrays, "calibration": table})

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[np.generic]]]:
        """Return JSON values and arrays for `from_arrays`."""
        values = {
            "alerts": self.budget.alerts,
            "seconds": self.budget.seconds,
            "votes": list(self.budget.votes),
            "for_all": self.budget.for_all,
            "unit": self.unit,
            "floor": self.floor,
            "relative": self.relative,
            "step": self.step,
            "tail": self.tail.as_dict(),
            "entities": list(self.state.entities),
        }
        return values, {
            "calibration.state": self.state.arrays["calibration"],
            "calibration.hours": self.state.arrays["hours"],
        }

    @classmethod
    def from_arrays(cls, values: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Self:
        """Restore a calibrator from `to_arrays`; models of an earlier version have no recurrences.

        Raises
        ------
        ArtifactError
            The arrays have another shape or type than those of these entities.
        """
        n = len(values["entities"])
        table = widened(saved_array(arrays, "calibration.state", (n, None)), CALIBRATION)
        state = _without_recurrence(tuple(values["entities"]), table)
        if "calibration.hours" in arrays:
            state.arrays["hours"] = saved_array(arrays, "calibration.hours", (n, RING_WIDTH), np.float32)
        return cls(
            budget=Budget(
                values["alerts"],
                values["seconds"],
                (values["votes"][0], values["votes"][1]),
                values.get("for_all", False),
            ),
            unit=values["unit"],
            floor=values["floor"],
            relative=values["relative"],
            step=values["step"],
            tail=Tail(**values["tail"]),
            state=state,
        )

    # -- inside ----------------------------------------------------------------------------------------
    def _settings(self, step: float) -> NDArray[Any]:
        """Return the settings of the kernels for rows `step` seconds apart: one record ``(1,)``."""
        of = (step, self._budget_of_each, self.tail, self.unit, self.floor, self.relative)
        if self._prepared is None or self._prepared[0] != of:
            self._prepared = of, self._new_settings(step)
        return self._prepared[1]

    def _new_settings(self, step: float) -> NDArray[Any]:
        day = 86400.0 / step
        needed, of = self.budget.votes
        tail = self.tail
        return np.array(
            [
                (
                    self.unit, tail.threshold, tail.rate, tail.scale, tail.shape, self._log_budget(step),
                    self._slow_rate(step), max(YOUNG_DAYS * day, WARM_UP_ROWS),
                    1.0 / max(REGIME_DAYS * day, REGIME_ROWS), GAIN, needed, of,
                    recurrence_days(self._budget_of_each.alerts_per_day), self.floor, step * 1000.0,
                )
            ],
            CALIBRATION_SETTINGS,
        )  # fmt: skip

    def _slow_rate(self, step: float) -> float:
        """Weight of a row in the slow mean; 0 where scores are not relative to it."""
        return 1.0 / max(SLOW_DAYS * 86400.0 / step, 1.0) if self.relative else 0.0

    def _log_budget(self, step: float) -> float:
        """Logarithm of the rate per row that the budget allows."""
        return math.log(1.0 / self._budget_of_each.rows_per_alert(step))

    @property
    def _budget_of_each(self) -> Budget:
        """The budget of one of the entities of training."""
        return self.budget.per_entity(len(self.state.entities))

    def _standing(
        self, state: State, entities: tuple[str, ...]
    ) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[np.float32]]:
        """Positions of `entities` among records and rings, and those records and rings.

        States of earlier versions have no rings.
        """
        places = self.state.places(entities)
        if self._trained is None or self._trained[0] is not self.state:
            self._trained = self.state, *self._with_unknown_entity()
        _, known, rings = self._trained
        if state is self.state:
            return places, known, rings
        known, rings = known[places], rings[places]
        places = state.places(entities)
        here = np.flatnonzero(places >= 0)
        if len(here):
            table = widened(state.arrays["calibration"][places[here]], CALIBRATION)
            known[here] = records(table, CALIBRATION)
            rings[here] = state.arrays["hours"][places[here]] if "hours" in state.arrays else 0.0
        return np.arange(len(entities)), known, rings

    def _with_unknown_entity(self) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Return records and rings as training left them, with an unknown entity at the end."""
        table, rings = self.state.arrays["calibration"], self.state.arrays["hours"]
        unknown = _unseen_entity()
        known, new = records(table, CALIBRATION), records(unknown, CALIBRATION)
        for name in LEARNT:
            new[name] = np.median(known[name])
        everyone = records(np.vstack([table, unknown]), CALIBRATION)
        return everyone, np.vstack([rings, np.zeros((1, RING_WIDTH), np.float32)])


def recurrence_days(alerts_per_day: float) -> int:
    """Days of a week that make a recurrence: more than the budget allows alerts; never, if it allows one a day.

    >>> recurrence_days(1 / 7), recurrence_days(1.0)
    (3, 8)
    """
    return max(MIN_RECURRENCE_DAYS, int(RECURRENCE_WINDOW_DAYS * alerts_per_day) + 1)


def _unseen_entity() -> NDArray[np.float64]:
    """Table ``(1, n_columns)`` of an entity that no row was seen of."""
    table = np.zeros((1, CALIBRATION.itemsize // 8))
    entity = records(table, CALIBRATION)
    entity["spread"] = entity["line"] = 1.0
    return table


def _without_recurrence(entities: tuple[str, ...], table: NDArray[np.float64]) -> State:
    return State(entities, {"calibration": table, "hours": np.zeros((len(entities), RING_WIDTH), np.float32)})


def _named(rows: NDArray[np.int64], panel: Panel) -> tuple[tuple[str, int], ...]:
    """Entity and time of rows."""
    if len(rows) == 0:
        return ()
    codes = panel.codes
    return tuple((panel.entities[codes[i]], int(panel.timestamps[i])) for i in np.sort(rows))


def _known(deviation: NDArray[np.float64] | None, panel: Panel) -> NDArray[np.float64]:
    """Deviations ``(n_rows,)``, NaN where they are not known."""
    return np.full(panel.n_rows, np.nan) if deviation is None else np.ascontiguousarray(deviation)


def _usual_deviation(deviation: NDArray[np.float64]) -> float:
    """Deviation that few rows exceed."""
    known = deviation[~np.isnan(deviation)]
    return float(np.quantile(known, 1 - UPPER_SHARE)) if len(known) else 0.0


def _unit(raw: NDArray[np.float64]) -> float:
    """Median size of the raw scores that are not 0."""
    sizes = np.abs(raw[np.isfinite(raw)])
    return max(float(np.median(sizes[sizes > 0])), MIN_UNIT) if (sizes > 0).any() else 1.0


def _location_and_spread(x: NDArray[np.float64]) -> tuple[float, float]:
    if len(x) == 0:
        return 0.0, 0.0
    middle, high = np.quantile(x, [0.5, 1 - UPPER_SHARE])
    return float(middle), float(high - middle)
