"""The alert policy: N of M rows open an alert, a quiet time resolves it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from foreshock_models.kernels.layout import ANOMALOUS, OPENED, PENDING, QUIET, RESOLVED

__all__ = ["advance_policy"]


@njit(cache=True, nogil=True)
def advance_policy(
    score: NDArray[np.float64],
    rows: tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]],
    entities: NDArray[Any],
    votes: tuple[int, int],
    resolve_ms: float,
    keep: float,
) -> tuple[NDArray[np.int8], NDArray[np.float64], NDArray[np.int64]]:
    """State of each entity after each row: step, peak and start of the alert, each ``(n_rows,)``.

    Parameters
    ----------
    rows
        Permitted ``(n_rows,)``: whether a row may alert; present ``(n_rows,)``: whether it has a sample; timestamps
        ``(n_rows,)`` in ms, and offsets ``(n_entities + 1,)``.
    entities
        ``(n_entities,)`` records of `layout.ALERT_POLICY`, updated in place.
    votes
        N and M.
    resolve_ms
        Time without an anomalous row that resolves an alert.
    keep
        Score at which a row still counts as anomalous while an alert is open.
    """
    permitted, present, timestamps, offsets = rows
    needed, of = votes
    step = np.zeros(len(score), np.int8)
    peaks = np.zeros(len(score))
    since = np.zeros(len(score), np.int64)
    mask = (np.int64(1) << of) - 1
    for e in range(len(offsets) - 1):
        entity = entities[e]
        bits = np.int64(entity.votes)
        for i in range(offsets[e], offsets[e + 1]):
            line = keep if entity.open == 1.0 else 1.0
            vote = present[i] and permitted[i] and score[i] >= line
            if present[i]:
                if vote and bits == 0 and entity.open == 0.0:
                    entity.since_ms = timestamps[i]
                bits = ((bits << 1) | (1 if vote else 0)) & mask
                entity.last_sample_ms = timestamps[i]
            count = 0
            for k in range(of):
                count += int((bits >> k) & 1)
            if entity.open == 1.0:
                if vote:
                    entity.last_vote_ms = timestamps[i]
                    entity.peak = max(entity.peak, score[i])
                    step[i] = ANOMALOUS
                elif present[i] and timestamps[i] - entity.last_vote_ms >= resolve_ms:
                    entity.open = 0.0
                    bits = np.int64(0)
                    step[i] = RESOLVED
                else:
                    step[i] = QUIET
            elif vote and count >= needed:
                entity.open = 1.0
                entity.opened_ms = timestamps[i]
                entity.last_vote_ms = timestamps[i]
                entity.peak = score[i]
                step[i] = OPENED
            elif count > 0:
                step[i] = PENDING
            peaks[i] = entity.peak
            since[i] = np.int64(entity.since_ms)
        entity.votes = bits
    return step, peaks, since
