"""The streaming part of calibration: one pass over the rows of each entity, in machine code."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["COLUMNS", "FRESH", "advance", "stand"]

COLUMNS = {
    "center": 0,  # location of the squashed raw score
    "spread": 1,  # from there to its upper quantile, so that "above 1" is about as rare for every entity
    "shift": 2,  # this entity's threshold above the shared one, in spreads
    "offset": 3,  # the controller: moves the line so that alerts come at the budget's rate
    "seen": 4,  # rows so far
    "busy": 5,  # share of rows over the line, over about a day
    "fast_center": 6,  # location over about an hour, alerting rows too: the new normal, if there is one
    "fast_spread": 7,
    "alerting": 8,  # 1 while an alert is open, as far as the budget is concerned
    "quiet": 9,  # rows since the last one over the line
    "votes": 10,  # from here: the last rows' votes, newest first
}
MAX_VOTES = 32
FRESH: NDArray[np.float64] = np.zeros(COLUMNS["votes"] + MAX_VOTES)
FRESH[COLUMNS["spread"]] = 1.0

UPPER = 0.05
"""Share of rows above centre plus spread."""
UP = 4.0
"""How fast the spread follows, against the centre."""
LOWEST, HIGHEST = -0.7, 2.0
"""How far the controller may move the line, in distances between threshold and line."""
BUSY_LIMIT = 0.3
"""Share of rows over the line, for about a day, that makes a new normal."""
QUIET_ROWS = 10
"""An alert is over after so many rows below the line; what comes earlier is the same alert."""

CENTER, SPREAD, SHIFT, OFFSET, SEEN, BUSY, FAST_CENTER, FAST_SPREAD, ALERTING, QUIET, VOTES = range(11)


@njit(cache=True, nogil=True)
def _log_tail(z: float, u: float, log_rate: float, scale: float, shape: float) -> float:
    """Log of the rate at which events lie above `z`, with the tail's threshold at `u`."""
    excess = z - u
    if excess <= 0:
        # below the threshold: from 0 at the centre, linear up to the score of the threshold
        return log_rate * (z / u if u > 0 else 1.0)
    if shape > 1e-6:
        return log_rate - np.log1p(shape * excess / scale) / shape
    return log_rate - excess / scale


@njit(cache=True, nogil=True)
def stand(
    x: NDArray[np.float64],
    offsets: NDArray[np.int64],
    table: NDArray[np.float64],
    tail: NDArray[np.float64],
    log_budget: float,
) -> NDArray[np.float64]:
    """Score every row with the state as it stands, learning nothing: ``(n_rows,)``."""
    threshold, rate, scale, shape = tail
    log_rate = np.log(rate)
    score = np.empty(len(x))
    for e in range(len(offsets) - 1):
        s = table[e]
        for i in range(offsets[e], offsets[e + 1]):
            z = (x[i] - s[CENTER]) / s[SPREAD]
            score[i] = _log_tail(z, threshold + s[SHIFT], log_rate, scale, shape) / log_budget
    return score


@njit(cache=True, nogil=True)
def advance(
    x: NDArray[np.float64],
    offsets: NDArray[np.int64],
    table: NDArray[np.float64],
    tail: NDArray[np.float64],
    log_budget: float,
    span: float,
    young: float,
    busy_rate: float,
    gain: float,
    needed: int,
    of: int,
    floor: float,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Score every row with the state before it, then learn from the row. Changes `table` in place.

    `span` is the distance between the tail's threshold and the line; the controller moves in shares of it.
    Returns the scores ``(n_rows,)`` and where a new normal was accepted ``(n_rows,)``.
    """
    threshold, rate, scale, shape = tail
    score = np.empty(len(x))
    renewed = np.zeros(len(x), np.bool_)
    log_rate = np.log(rate)
    budget = np.exp(log_budget)
    fast = 1.0 / 60.0
    for e in range(len(offsets) - 1):
        s = table[e]
        for i in range(offsets[e], offsets[e + 1]):
            z = (x[i] - s[CENTER]) / s[SPREAD]
            u = max(threshold + s[SHIFT] + s[OFFSET], 0.1)
            value = _log_tail(z, u, log_rate, scale, shape) / log_budget
            score[i] = value
            vote = 1.0 if value >= 1.0 else 0.0
            count = vote
            for k in range(of - 1, 0, -1):
                s[VOTES + k] = s[VOTES + k - 1]
                count += s[VOTES + k]
            s[VOTES] = vote
            s[QUIET] = 0.0 if vote == 1.0 else s[QUIET] + 1.0
            if s[ALERTING] == 0.0 and count >= needed:
                s[ALERTING] = 1.0
                # what lies far over the line is hardly a false alert: it moves the line less
                s[OFFSET] += gain * span / max(value, 1.0) ** 2
            elif s[QUIET] >= QUIET_ROWS:
                s[ALERTING] = 0.0
            s[OFFSET] -= gain * span * budget
            s[OFFSET] = min(max(s[OFFSET], LOWEST * span), HIGHEST * span)
            s[BUSY] += busy_rate * (vote - s[BUSY])
            s[FAST_CENTER] += max(fast, 1.0 / (1.0 + s[SEEN])) * (x[i] - s[FAST_CENTER])
            s[FAST_SPREAD] += max(fast, 1.0 / (1.0 + s[SEEN])) * (abs(x[i] - s[FAST_CENTER]) - s[FAST_SPREAD])
            if vote == 1.0 and s[BUSY] > BUSY_LIMIT:
                s[CENTER] = s[FAST_CENTER]
                s[SPREAD] = max(s[SPREAD], s[FAST_SPREAD])
                s[BUSY] = 0.0
                renewed[i] = True
            elif vote == 0.0 and s[SEEN] < young:
                # a fresh entity learns where it stands, ever more slowly; then it stays: a score that followed
                # the level of the raw scores would call an anomaly that lasts ever more normal
                pace = 1.0 / (10.0 + s[SEEN])
                s[CENTER] += pace * s[SPREAD] * min(max(4.0 * z, -1.0), 1.0)
                s[SPREAD] *= np.exp(pace * ((UP if z > 1.0 else 0.0) - UP * UPPER))
                s[SPREAD] = max(s[SPREAD], floor)
            s[SEEN] += 1.0
    return score, renewed
