"""From raw scores to calibrated ones: 1.0 is the alert line, set by a budget of false alerts.

A score is ``log p / log p*``: p is the rate, per row, at which normal data of that entity bring an alert with a
raw score at least as high; p* is the rate that the budget allows. p comes from peaks over threshold [1]_: the
N-of-M filtered raw scores are declustered into events, and the excess of their peaks follows a generalised
Pareto tail. Because raw scores drift, a small integral controller [2]_ holds the long-run rate of alerts at the
budget: each alert moves the line up a little, each row without one down by what the budget allows. When most of a
day lies over the line, that level is accepted as the new normal.

.. [1] Siffer et al., "Anomaly detection in streams with extreme value theory", KDD 2017.
.. [2] Gibbs and Candès, "Adaptive conformal inference under distribution shift", NeurIPS 2021.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from foreshock_models.calibration._stream import COLUMNS, FRESH, UPPER, advance, stand
from foreshock_models.calibration.budget import Budget
from foreshock_models.calibration.state import State
from foreshock_models.calibration.tail import Tail, fit_tail, nth_largest
from foreshock_models.panel import Panel

__all__ = ["Calibrated", "Calibrator"]

YOUNG_DAYS = 1.0
"""Until so many rows were seen, an entity's location and spread are learnt from its rows."""
NEW_NORMAL_DAYS = 1.0
"""An entity that is over the line for much of so long a time has a new normal."""
WARM_ROWS = 200
"""Rows after which an entity's own location and spread hold."""
FIRST_OFFSET = -0.5
"""Where the controller begins, in distances between threshold and line. An extrapolated tail errs to the high side,
and a line that is too low is put right by a few alerts, one that is too high only by weeks without any."""
TOLERATED = 0.9
"""What a person called normal scores at most this, just below the line."""
HUGE = 1e100
GAIN = 0.15
"""How far one alert moves the line: fraction of the distance between threshold and line."""


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
    linear
        The raw scores are logarithmic already, as an ensemble's are.

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
    linear: bool = False
    step: float = 60.0
    tail: Tail = field(default_factory=Tail)
    state: State = field(default_factory=State)

    def fit(self, raw: NDArray[np.float64], panel: Panel) -> Self:
        """Learn from the raw scores ``(n_rows,)`` of held-back normal rows."""
        self.step = panel.step
        positive = np.abs(raw[np.isfinite(raw)])
        self.unit = max(float(np.median(positive[positive > 0])), 1 / HUGE) if (positive > 0).any() else 1.0
        x = self._squash(raw)
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
        table[:, COLUMNS["center"]] = center
        table[:, COLUMNS["spread"]] = spread
        table[:, COLUMNS["shift"]] = [self.tail.own_shift(values) for values in filtered]
        table[:, COLUMNS["offset"]] = FIRST_OFFSET * self.tail.span(self._line(panel.step)[1])
        table[:, COLUMNS["seen"]] = np.diff(panel.offsets)
        self.state = State(panel.entities, {"calibration": table})
        return self

    def recalibrate(self, budget: Budget) -> None:
        """Move the line to another budget; the controller begins anew."""
        self.budget = budget
        table = self.state.arrays["calibration"].copy()
        table[:, COLUMNS["offset"]] = FIRST_OFFSET * self.tail.span(self._line(self.step)[1])
        self.state = State(self.state.entities, {"calibration": table})

    def apply(self, raw: NDArray[np.float64], panel: Panel, state: State | None = None) -> Calibrated:
        """Score rows in time order, each with what was known before it."""
        table = self._rows((self.state if state is None else state), panel.entities)
        x = np.ascontiguousarray(self._squash(raw))
        day = 86400.0 / panel.step
        score, normal = advance(
            x,
            panel.offsets,
            table,
            *(line := self._line(panel.step)),
            self.tail.span(line[1]),
            max(YOUNG_DAYS * day, WARM_ROWS),
            1.0 / max(NEW_NORMAL_DAYS * day, WARM_ROWS / 4),
            GAIN,
            *self.budget.votes,
            self.floor,
        )
        entity_rows = np.diff(panel.offsets)
        before = np.repeat(table[:, COLUMNS["seen"]] - entity_rows, entity_rows) + panel.positions
        shifts = tuple((panel.entities[panel.codes[i]], int(panel.timestamps[i])) for i in np.flatnonzero(normal))
        return Calibrated(score, before < WARM_ROWS, State(panel.entities, {"calibration": table}), shifts)

    def static(self, raw: NDArray[np.float64], panel: Panel) -> NDArray[np.float64]:
        """Scores ``(n_rows,)`` as training left the calibration, whatever came since."""
        table = self._rows(self.state, panel.entities)
        return stand(np.ascontiguousarray(self._squash(raw)), panel.offsets, table, *self._line(panel.step))

    def tolerance(self, score: float) -> float:
        """How far a line must be raised, in the entity's spreads, so that what scored `score` stays below it."""
        budget = self._line(self.step)[1]
        wanted = max(self.tail.quantile(TOLERATED * budget), self.tail.threshold)
        return max(self.tail.quantile(score * budget) - wanted, 0.0)

    @staticmethod
    def raise_line(state: State, entity: str, by: float) -> State:
        """The same state with one entity's line higher by so many of its spreads (lower, if negative)."""
        table = state.arrays["calibration"].copy()
        table[[name == entity for name in state.entities], COLUMNS["shift"]] += by
        return State(state.entities, {**state.arrays, "calibration": table})

    def _line(self, step: float) -> tuple[NDArray[np.float64], float]:
        """The tail as an array, and the logarithm of the rate per row that the budget allows."""
        tail = np.array([self.tail.threshold, self.tail.rate, self.tail.scale, self.tail.shape])
        return tail, float(np.log(1.0 / self.budget.rows_per_alert(step)))

    def _rows(self, state: State, entities: tuple[str, ...]) -> NDArray[np.float64]:
        """The state of `entities`, copied; an unknown one starts from the median of those known in training."""
        known = self.state.arrays["calibration"]
        start = FRESH.copy()
        for name in ("center", "spread", "shift", "offset"):
            start[COLUMNS[name]] = np.median(known[:, COLUMNS[name]])
        at = {name: i for i, name in enumerate(state.entities)}
        fallback = {name: i for i, name in enumerate(self.state.entities)}
        rows = np.tile(start, (len(entities), 1))
        for i, name in enumerate(entities):
            if name in at:
                rows[i] = state.arrays["calibration"][at[name]]
            elif name in fallback:
                rows[i] = known[fallback[name]]
        return rows

    def _squash(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Linear for usual scores, logarithmic for huge ones unless they are so already; free of the raw scale."""
        finite = np.clip(np.nan_to_num(raw), -HUGE, HUGE) / self.unit
        return finite if self.linear else np.arcsinh(finite)

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[np.generic]]]:
        """JSON values and arrays, for `from_arrays`."""
        values = {
            "alerts": self.budget.alerts,
            "seconds": self.budget.seconds,
            "votes": list(self.budget.votes),
            "unit": self.unit,
            "floor": self.floor,
            "linear": self.linear,
            "step": self.step,
            "tail": self.tail.as_dict(),
            "entities": list(self.state.entities),
        }
        return values, {"calibration.state": self.state.arrays["calibration"]}

    @classmethod
    def from_arrays(cls, values: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Self:
        return cls(
            budget=Budget(values["alerts"], values["seconds"], (values["votes"][0], values["votes"][1])),
            unit=values["unit"],
            floor=values["floor"],
            linear=values["linear"],
            step=values["step"],
            tail=Tail(**values["tail"]),
            state=State(tuple(values["entities"]), {"calibration": arrays["calibration.state"]}),
        )


def _center_and_spread(x: NDArray[np.float64]) -> tuple[float, float]:
    if len(x) == 0:
        return 0.0, 0.0
    middle, high = np.quantile(x, [0.5, 1 - UPPER])
    return float(middle), float(high - middle)
