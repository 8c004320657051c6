"""The streaming part of calibration: one pass over the rows of each entity, in machine code."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["COLUMNS", "FRESH", "advance"]

COLUMNS = {
    "center": 0,  # location of the squashed raw score
    "spread": 1,  # from there to its upper quantile, so that "above 1" is about as rare for every entity
    "shift": 2,  # this entity's threshold above the shared one, in spreads
    "offset": 3,  # the controller: moves the line so that alerts come at the budget's rate
    "seen": 4,  # rows so far
    "busy": 5,  # share of alerting rows, over about a day
    "fast_center": 6,  # location over about an hour, alerting rows too: the new normal, if there is one
    "fast_spread": 7,
    "alerting": 8,  # 1 while the N-of-M filter is at or over the line
    "votes": 9,  # from here: the last rows' votes, newest first
}
MAX_VOTES = 32
FRESH: NDArray[np.float64] = np.zeros(COLUMNS["votes"] + MAX_VOTES)
FRESH[COLUMNS["spread"]] = 1.0

UPPER = 0.05
"""Share of rows above centre plus spread."""
UP = 4.0
"""How fast the spread follows, against the centre."""

CENTER, SPREAD, SHIFT, OFFSET, SEEN, BUSY, FAST_CENTER, FAST_SPREAD, ALERTING, VOTES = range(10)


@njit(cache=True, nogil=True)
def advance(
    x: NDArray[np.float64],
    offsets: NDArray[np.int64],
    table: NDArray[np.float64],
    tail: NDArray[np.float64],
    log_budget: float,
    track: float,
    busy_rate: float,
    gain: float,
    needed: int,
    of: int,
    floor: float,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Score every row with the state before it, then learn from the row. Changes `table` in place.

    Returns the scores ``(n_rows,)`` and where a new normal was accepted ``(n_rows,)``.
    """
    threshold, rate, scale, shape = tail
    score = np.empty(len(x))
    renewed = np.zeros(len(x), np.bool_)
    log_rate = np.log(rate)
    budget = np.exp(log_budget)
    span = (log_rate - log_budget) * scale  # distance between threshold and line, had the tail no shape
    if shape > 1e-6:
        span = scale / shape * (np.exp(shape * (log_rate - log_budget)) - 1.0)
    span = max(span, scale)
    fast = 1.0 / 60.0
    for e in range(len(offsets) - 1):
        s = table[e]
        for i in range(offsets[e], offsets[e + 1]):
            # a fresh entity learns fast, then ever more slowly down to the usual pace
            pace = max(track, 1.0 / (10.0 + s[SEEN]))
            z = (x[i] - s[CENTER]) / s[SPREAD]
            u = threshold + s[SHIFT] + s[OFFSET]
            excess = z - u
            if excess <= 0:
                # below the threshold: from 0 at the centre, linear up to the score of the threshold
                log_p = log_rate * (z / u if u > 0 else 1.0)
            elif shape > 1e-6:
                log_p = log_rate - np.log1p(shape * excess / scale) / shape
            else:
                log_p = log_rate - excess / scale
            value = log_p / log_budget
            score[i] = value
            vote = 1.0 if value >= 1.0 else 0.0
            count = vote
            for k in range(of - 1, 0, -1):
                s[VOTES + k] = s[VOTES + k - 1]
                count += s[VOTES + k]
            s[VOTES] = vote
            alerting = count >= needed
            if alerting and s[ALERTING] == 0.0:
                s[OFFSET] += gain * span
            s[OFFSET] -= gain * span * budget
            s[OFFSET] = min(max(s[OFFSET], -0.25 * span), 2.0 * span)
            s[ALERTING] = 1.0 if alerting else 0.0
            s[BUSY] += busy_rate * ((1.0 if alerting else 0.0) - s[BUSY])
            s[FAST_CENTER] += max(fast, 1.0 / (1.0 + s[SEEN])) * (x[i] - s[FAST_CENTER])
            s[FAST_SPREAD] += max(fast, 1.0 / (1.0 + s[SEEN])) * (abs(x[i] - s[FAST_CENTER]) - s[FAST_SPREAD])
            if vote == 0.0:
                s[CENTER] += pace * s[SPREAD] * min(max(4.0 * z, -1.0), 1.0)
                s[SPREAD] *= np.exp(pace * ((UP if z > 1.0 else 0.0) - UP * UPPER))
                s[SPREAD] = max(s[SPREAD], floor)
            elif s[BUSY] > 0.6:
                s[CENTER] = s[FAST_CENTER]
                s[SPREAD] = max(s[SPREAD], s[FAST_SPREAD])
                s[BUSY] = 0.0
                renewed[i] = True
            s[SEEN] += 1.0
    return score, renewed
