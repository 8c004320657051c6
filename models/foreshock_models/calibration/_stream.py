"""The streaming part of calibration: one pass over the rows of each entity, in machine code."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from foreshock_models.calibration._routine import DAYS, remember, routine

__all__ = ["COLUMNS", "FRESH", "HIGHEST", "LOWEST", "advance", "relative", "scaled", "stand"]

COLUMNS = {
    "center": 0,  # location of the raw score
    "spread": 1,  # from there to its upper quantile, so that "above 1" is about as rare for every entity
    "shift": 2,  # this entity's threshold above the shared one, in spreads
    "line": 3,  # where the alert line stands now, on the scale that training made; the controller moves it
    "seen": 4,  # rows so far
    "busy": 5,  # share of rows over the line, over some days
    "fast_center": 6,  # location over some hours, alerting rows too: the new normal, if there is one
    "fast_spread": 7,
    "alerting": 8,  # 1 while an alert is open, as far as the budget is concerned
    "quiet": 9,  # rows since the last one over the line
    "peak": 10,  # highest score of the open alert
    "slow": 11,  # mean of the raw score over the last week, for scores that are relative to it
    "usual": 12,  # the same in training
    "votes": 13,  # from here: the last rows' votes, newest first
}
MAX_VOTES = 32
LOWEST, HIGHEST = 0.6, 1.6
"""How far the controller may move the line."""
HUGE = 1e100
HOUR_MS = 3_600_000
WARM_ROWS = 200
"""Rows after which an entity's own location and spread hold."""
FRESH: NDArray[np.float64] = np.zeros(COLUMNS["votes"] + MAX_VOTES)
FRESH[COLUMNS["spread"]] = 1.0
FRESH[COLUMNS["line"]] = 1.0

UPPER = 0.05
"""Share of rows above centre plus spread."""
UP = 4.0
"""How fast the spread of a young entity follows, against its centre."""
BUSY_LIMIT = 0.7
"""Share of rows over the line, for days, that makes a new normal."""
QUIET_ROWS = 10
"""An alert is over after so many rows below the line; what comes earlier is the same alert."""
FADE = 4.0
"""An alert moves the line by its peak to minus this power: what is far over the line is hardly a false alert."""
NEAR = 0.5
"""Peaks so near the line, and nearer than twice its way from 1, are measured from it; others as training says."""
DIP = 0.93
"""Where the line is above 1, scores that training would put between this and the line wait here, below what keeps
an alert open; all but the last, which fall below the line as those of training do."""
STEEP, FLAT = 3.0, 0.1
"""How fast a score comes back to what training says, and how fast it rises where it waits for that."""
EASE = 0.3
"""Relative scores: share of the usual mean added below the line of the fraction, so that it never vanishes."""

CENTER, SPREAD, SHIFT, LINE, SEEN, BUSY, FAST_CENTER, FAST_SPREAD, ALERTING, QUIET, PEAK, SLOW, USUAL, VOTES = (
    range(14)
)


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
def _shown(value: float, line: float) -> float:
    """The score of `value`, which is on the scale of training, where the line stands at `line`.

    At the line it is 1. Away from it, it is what training says as soon as that is on the same side of 1: the order
    of what is far apart in time stays as it is.
    """
    if value >= line:
        if line > 1.0:
            return min(value, 1.0 + STEEP * (value - line))
        return max(value, 1.0 + FLAT * (value - line))
    if line < 1.0:
        return max(value, 1.0 - STEEP * (line - value))
    flat = FLAT * min(1.0, (HIGHEST - DIP) / (line - DIP))  # so that a routine, however high, stays as far below 1
    return min(value, max(1.0 - (line - value), DIP + flat * (value - DIP)))


@njit(cache=True, nogil=True)
def _height(value: float, line: float) -> float:
    """How high `value` is, for what an alert costs: from the line near it, as training says far from it."""
    width = max(2.0 * abs(1.0 - line), NEAR)
    return value + (1.0 - line) * max(0.0, 1.0 - abs(value - line) / width)


@njit(cache=True, nogil=True)
def scaled(raw: NDArray[np.float64], unit: float) -> NDArray[np.float64]:
    """Finite raw scores, free of the detector's own scale."""
    out = np.empty(len(raw))
    for i in range(len(raw)):
        x = raw[i]
        out[i] = min(max(x, -HUGE), HUGE) / unit if x == x else 0.0
    return out


@njit(cache=True, nogil=True)
def relative(
    x: NDArray[np.float64],
    offsets: NDArray[np.int64],
    slow: NDArray[np.float64],
    usual: NDArray[np.float64],
    pace: float,
) -> NDArray[np.float64]:
    """Raw scores as multiples of their own slow mean ``(n_rows,)``; `slow` ``(n_entities,)`` is moved in place."""
    out = np.empty(len(x))
    for e in range(len(offsets) - 1):
        for i in range(offsets[e], offsets[e + 1]):
            out[i] = x[i] / (slow[e] + EASE * usual[e])
            slow[e] += pace * (x[i] - slow[e])
    return out


@njit(cache=True, nogil=True)
def stand(
    raw: NDArray[np.float64],
    unit: float,
    offsets: NDArray[np.int64],
    places: NDArray[np.int64],
    table: NDArray[np.float64],
    tail: tuple[float, ...],
    log_budget: float,
    pace: float,
) -> NDArray[np.float64]:
    """Score every row with the state as it stands, learning nothing: ``(n_rows,)``.

    ``places`` ``(n_entities,)``: the row of each entity in `table`.
    """
    x = scaled(raw, unit)
    threshold, rate, scale, shape = tail
    log_rate = np.log(rate)
    score = np.empty(len(x))
    for e in range(len(offsets) - 1):
        s = table[places[e]]
        mean = s[SLOW] + EASE * s[USUAL] if pace > 0 else 1.0
        for i in range(offsets[e], offsets[e + 1]):
            z = (x[i] / mean - s[CENTER]) / s[SPREAD]
            score[i] = _log_tail(z, max(threshold + s[SHIFT], 0.1), log_rate, scale, shape) / log_budget
    return score


@njit(cache=True, nogil=True)
def advance(
    raw: NDArray[np.float64],
    unit: float,
    values: NDArray[np.float64],
    timestamps: NDArray[np.int64],
    offsets: NDArray[np.int64],
    places: NDArray[np.int64],
    tables: NDArray[np.float64],
    all_rings: NDArray[np.float32],
    tail: tuple[float, ...],
    log_budget: float,
    pace: float,
    young: float,
    busy_rate: float,
    gain: float,
    needed: int,
    of: int,
    routine_days: int,
    floor: float,
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64], NDArray[np.float64], NDArray[np.float32]]:
    """Score every row with the state before it, then learn from the row.

    ``places`` ``(n_entities,)``: the row of each entity in `tables` and `all_rings`, which stay as they are.

    Nothing is learnt from a row without a sample in `values`: the sample may come later, and is then scored as if
    it had come in time.
    `pace` is that of the slow mean, 0 for scores that are not relative to it. What recurs on `routine_days` of the
    last days raises the line of its time of day (`_routine`).
    Returns the scores, which rows are of entities still warming, ``(n_rows,)`` both, the numbers of the rows where
    a new normal was accepted, and how the entities stand then: table and rings.
    """
    table, rings = tables[places], all_rings[places]
    x = scaled(raw, unit)
    threshold, rate, scale, shape = tail
    score = np.empty(len(x))
    warming = np.empty(len(x), np.bool_)
    renewed = np.empty(len(x), np.int64)
    n_renewed = 0
    log_rate = np.log(rate)
    budget = np.exp(log_budget)
    fast = 4.0 * busy_rate
    for e in range(len(offsets) - 1):
        s, ring = table[e], rings[e]
        last, raised = np.int64(-1), 0.0
        for i in range(offsets[e], offsets[e + 1]):
            warming[i] = s[SEEN] < WARM_ROWS
            hour = timestamps[i] // HOUR_MS  # from the epoch
            here = x[i]
            if pace > 0:
                here = x[i] / (s[SLOW] + EASE * s[USUAL])
            z = (here - s[CENTER]) / s[SPREAD]
            value = _log_tail(z, max(threshold + s[SHIFT], 0.1), log_rate, scale, shape) / log_budget
            if routine_days <= DAYS and hour != last:
                last = hour
                raised = routine(ring, hour, routine_days)
            # what is higher than the routine is none, and is measured by the line until it is over
            score[i] = _shown(value, s[LINE] if s[ALERTING] == 1.0 else max(s[LINE], raised))
            present = False
            for j in range(values.shape[1]):
                present |= values[i, j] == values[i, j]
            if not present:
                continue
            remember(ring, hour, value if value >= s[LINE] else 0.0)
            s[SLOW] += pace * (x[i] - s[SLOW])
            vote = 1.0 if score[i] >= 1.0 else 0.0
            height = _height(value, s[LINE])
            count = vote
            for k in range(of - 1, 0, -1):
                s[VOTES + k] = s[VOTES + k - 1]
                count += s[VOTES + k]
            s[VOTES] = vote
            s[QUIET] = 0.0 if vote == 1.0 else s[QUIET] + 1.0
            if s[ALERTING] == 0.0 and count >= needed:
                s[ALERTING] = 1.0
                s[PEAK] = max(height, 1.0)
                s[LINE] += gain * s[PEAK] ** -FADE
            elif s[ALERTING] == 1.0 and height > s[PEAK]:
                s[LINE] += gain * (height**-FADE - s[PEAK] ** -FADE)
                s[PEAK] = height
            if s[QUIET] >= QUIET_ROWS:
                s[ALERTING] = 0.0
            s[LINE] = min(max(s[LINE] - gain * budget, LOWEST), HIGHEST)
            s[BUSY] += busy_rate * (vote - s[BUSY])
            s[FAST_CENTER] += max(fast, 1.0 / (1.0 + s[SEEN])) * (here - s[FAST_CENTER])
            s[FAST_SPREAD] += max(fast, 1.0 / (1.0 + s[SEEN])) * (abs(here - s[FAST_CENTER]) - s[FAST_SPREAD])
            if vote == 1.0 and s[BUSY] > BUSY_LIMIT:
                s[CENTER] = s[FAST_CENTER]
                s[SPREAD] = max(s[SPREAD], 2.0 * s[FAST_SPREAD])
                s[BUSY] = 0.0
                renewed[n_renewed] = i
                n_renewed += 1
            elif vote == 0.0 and s[SEEN] < young:
                # a fresh entity learns where it stands, ever more slowly; then it stays: a score that followed
                # the level of the raw scores would call an anomaly that lasts ever more normal
                step = 1.0 / (10.0 + s[SEEN])
                s[CENTER] += step * s[SPREAD] * min(max(4.0 * z, -1.0), 1.0)
                s[SPREAD] *= np.exp(step * ((UP if z > 1.0 else 0.0) - UP * UPPER))
                s[SPREAD] = max(s[SPREAD], floor)
            s[SEEN] += 1.0
    return score, warming, renewed[:n_renewed].copy(), table, rings
