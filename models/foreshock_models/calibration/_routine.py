"""What recurs daily: a job that is new and runs every night is an incident once, and then a routine.

A ring holds how high the score was in each of the last hours, where it was over the line. Where it was so at about
the same time of day on several of the last days, the line stands higher than what it came to then.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["DAYS", "WIDTH", "remember", "routine", "times"]

DAYS = 7
"""Days that are remembered."""
TIMES = 3
"""On so many of them, at least, it must have been over the line at about this time of day to be a routine."""
AROUND = 1
"""Hours before and after that are about this time of day."""
BRIEF = 8
"""Hours of a day over the line, at most, for a routine: what lasts longer is an incident, or a new normal."""
MARGIN = 1.2
"""How much higher than the routine the line stands, as a multiple."""
CAP = 1e6
"""Scores are remembered up to this."""
HOURS = DAYS * 24 + 12 + 1
"""The current hour, and those that a routine looks back at."""
LAST = HOURS
"""Where a ring says which hour is its last, counted from the epoch; a ring of zeros remembers nothing."""
WIDTH = HOURS + 1


def times(alerts_per_day: float) -> int:
    """Days out of `DAYS` that make a routine: more than the budget allows alerts; never, if it allows one a day."""
    return max(TIMES, int(DAYS * alerts_per_day) + 1)


@njit(cache=True, nogil=True)
def remember(ring: NDArray[np.float32], hour: int, score: float) -> None:
    """Note what the score came to in an hour (0 where it was not over the line), and forget what is too old."""
    last = int(ring[LAST])
    if hour > last:
        for h in range(max(last + 1, hour - HOURS + 1), hour + 1):
            ring[h % HOURS] = 0.0
        ring[LAST] = hour
    if score > ring[hour % HOURS]:
        ring[hour % HOURS] = min(score, CAP)


@njit(cache=True, nogil=True)
def _at(ring: NDArray[np.float32], hour: int) -> float:
    """What the score came to in an hour before the current one; 0 where it was not over the line."""
    last = int(ring[LAST])
    return ring[hour % HOURS] if last - HOURS < hour <= last else 0.0


@njit(cache=True, nogil=True)
def routine(ring: NDArray[np.float32], hour: int, days: int) -> float:
    """Where the line has to stand in `hour`, for what recurred on so many days; 0 where nothing did."""
    highest = np.zeros(DAYS)  # what each day came to at about this time, the highest first
    for day in range(1, DAYS + 1):
        then = hour - 24 * day
        peak = 0.0
        for h in range(then - AROUND, then + AROUND + 1):
            peak = max(peak, _at(ring, h))
        if peak == 0.0:
            continue
        over = 0
        for h in range(then - 12, then + 12):
            over += _at(ring, h) > 0.0
        if over > BRIEF:
            continue
        for k in range(DAYS):
            if peak > highest[k]:
                peak, highest[k] = highest[k], peak
    return MARGIN * highest[days - 1]
