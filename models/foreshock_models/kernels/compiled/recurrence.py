"""Daily recurrence: a job that runs every night is an incident once, and then it is expected.

A ring per entity holds the highest score of each hour in which the score was over the line. If that happened at
about the same time of day on several of the last days, the line is raised above it at that time.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from foreshock_models.kernels.constants import HOURS_AROUND, MARGIN, MAX_HOURS, MAX_PEAK, RECURRENCE_WINDOW_DAYS
from foreshock_models.kernels.layout import RING_WIDTH

__all__ = ["expected_peak", "record_hour"]

HOURS = RING_WIDTH - 1
"""Hours of a ring."""
LAST = HOURS
"""Index of the number of the last hour, counted from the epoch; a ring of zeros remembers nothing."""


@njit(cache=True, nogil=True)
def record_hour(ring: NDArray[np.float32], hour: int, score: float) -> None:
    """Record the highest score of an hour (0 where it was not over the line), and forget what is too old.

    Parameters
    ----------
    ring
        ``(RING_WIDTH,)``, changed in place.
    hour
        Hours since the epoch.
    """
    last = int(ring[LAST])
    if hour > last:
        for h in range(max(last + 1, hour - HOURS + 1), hour + 1):
            ring[h % HOURS] = 0.0
        ring[LAST] = hour
    if score > ring[hour % HOURS]:
        ring[hour % HOURS] = min(score, MAX_PEAK)


@njit(cache=True, nogil=True)
def _peak_of(ring: NDArray[np.float32], hour: int) -> float:
    """Highest score of an hour before the current one; 0 where it was not over the line, or is forgotten."""
    last = int(ring[LAST])
    return ring[hour % HOURS] if last - HOURS < hour <= last else 0.0


@njit(cache=True, nogil=True)
def expected_peak(ring: NDArray[np.float32], hour: int, days: int) -> float:
    """Height of the line in `hour`, above what recurred on at least `days` days; 0 where nothing did."""
    highest = np.zeros(RECURRENCE_WINDOW_DAYS)  # peak of each day at about this time of day, the highest first
    for day in range(1, RECURRENCE_WINDOW_DAYS + 1):
        then = hour - 24 * day
        peak = 0.0
        for h in range(then - HOURS_AROUND, then + HOURS_AROUND + 1):
            peak = max(peak, _peak_of(ring, h))
        if peak == 0.0:
            continue
        over = 0
        for h in range(then - 12, then + 12):
            over += _peak_of(ring, h) > 0.0
        if over > MAX_HOURS:
            continue
        for k in range(RECURRENCE_WINDOW_DAYS):
            if peak > highest[k]:
                peak, highest[k] = highest[k], peak
    return MARGIN * highest[days - 1]
