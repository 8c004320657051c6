"""The walk of a policy over the rows of each entity, in machine code."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from foreshock_models.policy.policy import BITS, LAST, OPEN, OPENED, PEAK, SEEN, SINCE

__all__ = ["walk"]


@njit(cache=True, nogil=True)
def walk(
    score: NDArray[np.float64],
    permitted: NDArray[np.bool_],
    present: NDArray[np.bool_],
    timestamps: NDArray[np.int64],
    offsets: NDArray[np.int64],
    table: NDArray[np.float64],
    needed: int,
    of: int,
    resolve_ms: float,
    keep: float,
) -> tuple[NDArray[np.int8], NDArray[np.float64], NDArray[np.int64]]:
    step = np.zeros(len(score), np.int8)
    peaks = np.zeros(len(score))
    since = np.zeros(len(score), np.int64)
    for e in range(len(offsets) - 1):
        s = table[e]
        bits = np.int64(s[BITS])
        mask = (np.int64(1) << of) - 1
        for i in range(offsets[e], offsets[e + 1]):
            bar = keep if s[OPEN] == 1.0 else 1.0
            vote = present[i] and permitted[i] and score[i] >= bar
            if present[i]:
                if vote and bits == 0 and s[OPEN] == 0.0:
                    s[SINCE] = timestamps[i]
                bits = ((bits << 1) | (1 if vote else 0)) & mask
                s[SEEN] = timestamps[i]
            count = 0
            for k in range(of):
                count += int((bits >> k) & 1)
            if s[OPEN] == 1.0:
                if vote:
                    s[LAST] = timestamps[i]
                    s[PEAK] = max(s[PEAK], score[i])
                    step[i] = 3
                elif present[i] and timestamps[i] - s[LAST] >= resolve_ms:
                    s[OPEN] = 0.0
                    bits = np.int64(0)
                    step[i] = 5
                else:
                    step[i] = 4
            elif vote and count >= needed:
                s[OPEN] = 1.0
                s[OPENED] = timestamps[i]
                s[LAST] = timestamps[i]
                s[PEAK] = score[i]
                step[i] = 2
            elif count > 0:
                step[i] = 1
            peaks[i] = s[PEAK]
            since[i] = np.int64(s[SINCE])
        s[BITS] = bits
    return step, peaks, since
