"""How far features have moved of late: what tells the cause of a high score from what is only unusual.

A score sees everything that differs from training, also what has differed for days. People who look for the cause
of an alert look at what has changed, and by how much of all that it ever did.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from foreshock_models.panel import Panel

__all__ = ["lookback", "movement", "weigh"]

RECENT = 8
"""Rows that a movement shows in, the explained one the last."""
BEFORE_SECONDS, BEFORE_ROWS = 3600.0, (12, 60)
"""Time before those that they are compared with, and its bounds in rows."""
JUMPS = 8.0
"""A movement as far as so many standard deviations of the time before counts half."""
UNBLAMED = 0.2
"""Share of the blame that a feature gets on top of what the detector gives it: a network's attributions are
estimates, and see little of a feature that is odd for a reason of its own."""
STILL = 0.02
"""Movement that blame alone counts for: what broke an hour ago, and stands where it broke, is still the cause."""


def lookback(step: float) -> int:
    """Rows before a row, `step` seconds apart, that its movement looks at."""
    return RECENT - 1 + _before(step)


def _before(step: float) -> int:
    return int(np.clip(round(BEFORE_SECONDS / step), *BEFORE_ROWS))


def movement(panel: Panel, rows: NDArray[np.int64], reach: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each feature went from its mean of the hour before, in units of its reach: ``(n, n_features)``.

    What counts is the farthest of the last rows, the less the more the feature was jumping in the hour before: what
    jumps all the time has hardly moved. A feature without a value in these rows, or in that hour, has not at all.

    Parameters
    ----------
    rows
        ``(n,)`` numbers of rows; fewer rows before them than `lookback` will do.
    reach
        ``(n_entities, n_features)``: between the lowest and the highest value of training; where that is 0, the
        largest value of the rows looked at is the unit.
    """
    starts = panel.offsets[panel.codes[rows]]
    moved: NDArray[np.float64] = _moved(panel.values, rows, starts, reach[panel.codes[rows]], _before(panel.step))
    return moved


@njit(cache=True, nogil=True)
def _moved(
    values: NDArray[np.float64],
    rows: NDArray[np.int64],
    starts: NDArray[np.int64],
    reach: NDArray[np.float64],
    before: int,
) -> NDArray[np.float64]:
    out = np.zeros((len(rows), values.shape[1]))
    for n in range(len(rows)):
        first = max(starts[n], rows[n] - RECENT + 1)
        for j in range(values.shape[1]):
            mean, square, largest, count = 0.0, 0.0, 0.0, 0
            for k in range(max(starts[n], first - before), first):
                v = values[k, j]
                if v == v:
                    count += 1
                    step = v - mean
                    mean += step / count
                    square += step * (v - mean)  # Welford, 1962
                    largest = max(largest, abs(v))
            if count == 0:
                continue
            farthest = 0.0
            for k in range(first, rows[n] + 1):
                v = values[k, j]
                if v == v:
                    farthest = max(farthest, abs(v - mean))
                    largest = max(largest, abs(v))
            unit = reach[n, j] if reach[n, j] > 0 else largest
            if unit > 0 and farthest > 0.0:
                out[n, j] = farthest / unit * farthest / (farthest + JUMPS * np.sqrt(square / count))
    return out


def weigh(attributions: NDArray[np.float64], moved: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share each score ``(n, n_features)`` out anew: by movement, times how much a feature was blamed.

    Sums stay as they are. Where a score is no higher than that of the background, which saw anomalies too, only
    what raised it is shared out, and all bear alike what lowered it. Where nothing raised it, attributions stay.
    """
    raised = np.maximum(attributions, 0.0)
    up = raised.sum(axis=1, keepdims=True)
    blame = raised / np.maximum(up, 1e-300)
    weights = (blame + UNBLAMED) * moved + STILL * blame
    share = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
    sums = attributions.sum(axis=1, keepdims=True)
    given = np.where(sums > 0, sums, up)
    weighed: NDArray[np.float64] = np.where(
        up > 0, given * share + (sums - given) / attributions.shape[1], attributions
    )
    return weighed
