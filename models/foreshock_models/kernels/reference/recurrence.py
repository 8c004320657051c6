"""Daily recurrence."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foreshock_models.kernels.constants import HOURS_AROUND, MARGIN, MAX_HOURS, MAX_PEAK, RECURRENCE_WINDOW_DAYS
from foreshock_models.kernels.layout import RING_WIDTH

__all__ = ["expected_peak", "record_hour"]

HOURS = RING_WIDTH - 1


def record_hour(ring: NDArray[np.float32], hour: int, score: float) -> None:
    """See `compiled.recurrence.record_hour`."""
    known = _hours(ring)
    if hour > ring[-1]:
        known = {h: peak for h, peak in known.items() if h > hour - HOURS}
        ring[-1] = hour
    known[hour] = max(known.get(hour, 0.0), min(score, MAX_PEAK))
    ring[:-1] = 0.0
    for h, peak in known.items():
        ring[h % HOURS] = peak


def expected_peak(ring: NDArray[np.float32], hour: int, days: int) -> float:
    """See `compiled.recurrence.expected_peak`."""
    known = _hours(ring)
    peaks = []
    for day in range(1, RECURRENCE_WINDOW_DAYS + 1):
        then = hour - 24 * day
        peak = max(known.get(h, 0.0) for h in range(then - HOURS_AROUND, then + HOURS_AROUND + 1))
        hours_over = sum(known.get(h, 0.0) > 0 for h in range(then - 12, then + 12))
        peaks.append(peak if hours_over <= MAX_HOURS else 0.0)
    return MARGIN * sorted(peaks, reverse=True)[days - 1]


def _hours(ring: NDArray[np.float32]) -> dict[int, float]:
    """Hour since the epoch to its peak."""
    last = int(ring[-1])
    return {h: float(ring[h % HOURS]) for h in range(last - HOURS + 1, last + 1)}
