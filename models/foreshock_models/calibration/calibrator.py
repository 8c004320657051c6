"""From raw scores to calibrated ones: 1.0 is the alert line, set by a budget of false alerts.

A score is ``log p / log p*``: p is the rate, per row, at which normal data of that entity bring an alert with a
raw score at least as high; p* is the rate that the budget allows. p comes from peaks over threshold [1]_: the
N-of-M filtered raw scores are declustered into events, and the excess of their peaks follows a generalised
Pareto tail. Because raw scores drift, a small integral controller [2]_ holds the long-run rate of alerts at the
budget: an alert moves the line up (the less, the higher its peak), each row moves it down by what the budget
allows. A score is 1 at the line as it stands, and elsewhere, where it can be, what training says, so that what is
far apart in time stays comparable. When most of some days lies over the line, that level is accepted as the new
normal.

The scores of a single feature drift most: they are taken relative to their own mean over the last week.

.. [1] Siffer et al., "Anomaly detection in streams with extreme value theory", KDD 2017.
.. [2] Gibbs and Candès, "Adaptive conformal inference under distribution shift", NeurIPS 2021.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from foreshock_models.calibration._routine import WIDTH, times
from foreshock_models.calibration._stream import (
    COLUMNS,
    FRESH,
    HIGHEST,
    LOWEST,
    UPPER,
    WARM_ROWS,
    advance,
    relative,
    scaled,
    stand,
)
from foreshock_models.calibration.budget import Budget
from foreshock_models.calibration.state import State
from foreshock_models.calibration.tail import Tail, fit_tail, nth_largest
from foreshock_models.panel import Panel

__all__ = ["Calibrated", "Calibrator"]

YOUNG_DAYS = 1.0
"""Until so many rows were seen, an entity's location and spread are learnt from its rows."""
NEW_NORMAL_DAYS = 1.65
"""Time constant, in days, of the share of rows over the line: two days of nothing else make a new normal."""
NEW_NORMAL_ROWS = 120
"""The same in rows, where rows are rare."""
SLOW_DAYS = 7.0
"""Time constant of the mean that relative scores are measured by."""
TOLERATED = 0.9 * LOWEST
"""What a person called normal scores at most this: below the line, wherever it moves."""
LEARNT = ("center", "spread", "shift", "line", "slow", "usual", "fast_center", "fast_spread")
"""What an entity that is unknown takes from those of training."""
SMALLEST = 1e-100
"""The least unit."""
GAIN = 0.5
"""How far one alert that only just reached the line moves it."""


@dataclass(frozen=True)
class Calibrated:
    """Scores ``(n_rows,)``, which rows are of entities still warming, the new state, and new normals."""

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
    relative
        Measure raw scores by their own mean over the last week: for a single feature.

    Attributes
    ----------
    unit : scale of the raw scores, so that calibration does not depend on it
    floor : lowest spread of an entity
    tail : the tail shared by all entities, in units of each entity's own spread
    state : where each entity stands at the end of training
    """

    budget: Budget = field(default_factory=lambda: Budget.parse("1 per week"))
    unit: float = 1.0
    floor: float = 1e-3
    relative: bool = False
    step: float = 60.0
    tail: Tail = field(default_factory=Tail)
    state: State = field(default_factory=State)
    _trained: tuple[State, NDArray[np.float64], NDArray[np.float32]] | None = field(
        default=None, repr=False, compare=False
    )

    def fit(self, raw: NDArray[np.float64], panel: Panel) -> Self:
        """Learn from the raw scores ``(n_rows,)`` of held-back normal rows."""
        self.step = panel.step
        positive = np.abs(raw[np.isfinite(raw)])
        self.unit = max(float(np.median(positive[positive > 0])), SMALLEST) if (positive > 0).any() else 1.0
        x = scaled(raw, self.unit)
        usual = np.array([max(float(x[rows].mean()), 1e-3) for _, rows in panel])
        slow = usual.copy()
        if self.relative:
            x = relative(x, panel.offsets, slow, usual, self._pace(panel.step))
        center = np.empty(panel.n_entities)
        spread = np.empty(panel.n_entities)
        for i, (_, rows) in enumerate(panel):
            center[i], spread[i] = _center_and_spread(x[rows])
        self.floor = max(float(np.median(spread)) * 0.25, 1e-3)
        spread = np.maximum(spread, self.floor)
        z = [(x[rows] - c) / s for (_, rows), c, s in zip(panel, center, spread, strict=True)]
        filtered = [nth_largest(values, *self.budget.votes) for values in z]
        self.tail = fit_tail(filtered, self.budget.rows_per_alert(panel.step))
        table = np.tile(FRESH, (panel.n_entities, 1))
        shift = [self.tail.own_shift(values) for values in filtered]
        columns: dict[str, Any] = {
            "center": center, "spread": spread, "shift": shift, "seen": panel.lengths, "slow": slow,
            "usual": usual, "fast_center": center, "fast_spread": spread,
        }  # fmt: skip
        for name, values in columns.items():
            table[:, COLUMNS[name]] = values
        self.state = _fresh(panel.entities, table)
        return self

    def recalibrate(self, budget: Budget) -> None:
        """Move the line to another budget; the controller begins anew, and what recurs is forgotten."""
        self.budget = budget
        table = self.state.arrays["calibration"].copy()
        table[:, COLUMNS["line"]] = FRESH[COLUMNS["line"]]
        self.state = _fresh(self.state.entities, table)

    def apply(self, raw: NDArray[np.float64], panel: Panel, state: State | None = None) -> Calibrated:
        """Score rows in time order, each with what was known before it; rows without a sample change nothing."""
        known = self._standing(self.state if state is None else state, panel.entities)
        day = 86400.0 / panel.step
        score, warming, normal, table, rings = advance(
            np.ascontiguousarray(raw),
            self.unit,
            panel.values,
            panel.timestamps,
            panel.offsets,
            *known,
            *self._line(panel.step),
            self._pace(panel.step),
            max(YOUNG_DAYS * day, WARM_ROWS),
            1.0 / max(NEW_NORMAL_DAYS * day, NEW_NORMAL_ROWS),
            GAIN,
            *self.budget.votes,
            times(self.budget.alerts_per_day),
            self.floor,
        )
        after = State(panel.entities, {"calibration": table, "hours": rings})
        shifts: tuple[tuple[str, int], ...] = ()
        if len(normal):
            shifts = tuple((panel.entities[panel.codes[i]], int(panel.timestamps[i])) for i in normal)
        return Calibrated(score, warming, after, shifts)

    def static(self, raw: NDArray[np.float64], panel: Panel) -> NDArray[np.float64]:
        """Scores ``(n_rows,)`` as training left the calibration, whatever came since."""
        places, table, _ = self._standing(self.state, panel.entities)
        score: NDArray[np.float64] = stand(
            np.ascontiguousarray(raw),
            self.unit,
            panel.offsets,
            places,
            table,
            *self._line(panel.step),
            self._pace(panel.step),
        )
        return score

    def _pace(self, step: float) -> float:
        """Share of a row in the slow mean; 0 where scores are not relative to it."""
        return 1.0 / max(SLOW_DAYS * 86400.0 / step, 1.0) if self.relative else 0.0

    def tolerance(self, score: float) -> float:
        """How far a line must be raised, in the entity's spreads, so that what scored `score` stays below it."""
        budget = self._line(self.step)[1]
        wanted = max(self.tail.quantile(TOLERATED * budget), self.tail.threshold)
        # near the line, a score on the scale of training may be as high as the line could stand
        return max(self.tail.quantile(max(score, HIGHEST) * budget) - wanted, 0.0)

    @staticmethod
    def raise_line(state: State, entity: str, by: float) -> State:
        """The same state with one entity's line higher by so many of its spreads (lower, if negative)."""
        table = state.arrays["calibration"].copy()
        table[[name == entity for name in state.entities], COLUMNS["shift"]] += by
        return State(state.entities, {**state.arrays, "calibration": table})

    def _line(self, step: float) -> tuple[tuple[float, float, float, float], float]:
        """The tail, and the logarithm of the rate per row that the budget allows."""
        t = self.tail
        tail = (float(t.threshold), float(t.rate), float(t.scale), float(t.shape))
        return tail, math.log(1.0 / self.budget.rows_per_alert(step))

    def _standing(
        self, state: State, entities: tuple[str, ...]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float32]]:
        """Where `entities` stand: the row of each in a table and in the rings, and those.

        An unknown one starts from the median of those known in training. States of earlier versions have no rings.
        """
        places = self.state.places(entities)
        if self._trained is None or self._trained[0] is not self.state:
            self._trained = self.state, *self._with_newcomer()
        _, table, rings = self._trained
        if state is self.state:
            return places, table, rings
        table, rings = table[places], rings[places]
        places = state.places(entities)
        here = np.flatnonzero(places >= 0)
        if len(here):
            table[here] = state.arrays["calibration"][places[here]]
            rings[here] = state.arrays["hours"][places[here]] if "hours" in state.arrays else 0.0
        return np.arange(len(entities)), table, rings

    def _with_newcomer(self) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Table and rings as training left them, and in a last row how an unknown entity starts."""
        table, rings = self.state.arrays["calibration"], self.state.arrays["hours"]
        columns = [COLUMNS[name] for name in LEARNT]
        newcomer = FRESH.copy()
        newcomer[columns] = np.median(table[:, columns], axis=0)
        return np.vstack([table, newcomer]), np.vstack([rings, np.zeros((1, WIDTH), np.float32)])

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[np.generic]]]:
        """JSON values and arrays, for `from_arrays`."""
        values = {
            "alerts": self.budget.alerts,
            "seconds": self.budget.seconds,
            "votes": list(self.budget.votes),
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
        """Take back what `to_arrays` gave; a model of an earlier version remembers no hours."""
        state = _fresh(tuple(values["entities"]), arrays["calibration.state"])
        state.arrays["hours"] = arrays.get("calibration.hours", state.arrays["hours"])
        return cls(
            budget=Budget(values["alerts"], values["seconds"], (values["votes"][0], values["votes"][1])),
            unit=values["unit"],
            floor=values["floor"],
            relative=values["relative"],
            step=values["step"],
            tail=Tail(**values["tail"]),
            state=state,
        )


def _fresh(entities: tuple[str, ...], table: NDArray[np.float64]) -> State:
    """A state without a memory of hours."""
    return State(entities, {"calibration": table, "hours": np.zeros((len(entities), WIDTH), np.float32)})


def _center_and_spread(x: NDArray[np.float64]) -> tuple[float, float]:
    if len(x) == 0:
        return 0.0, 0.0
    middle, high = np.quantile(x, [0.5, 1 - UPPER])
    return float(middle), float(high - middle)
