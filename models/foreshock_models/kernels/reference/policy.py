"""The alert policy: N of M rows open an alert, a quiet time resolves it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock_models.kernels.layout import ANOMALOUS, CALM, OPENED, PENDING, QUIET, RESOLVED

__all__ = ["advance_policy"]


def advance_policy(
    score: NDArray[np.float64],
    rows: tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]],
    entities: NDArray[Any],
    votes: tuple[int, int],
    resolve_ms: float,
    keep: float,
) -> tuple[NDArray[np.int8], NDArray[np.float64], NDArray[np.int64]]:
    """See `compiled.policy.advance_policy`."""
    permitted, present, timestamps, offsets = rows
    found: list[tuple[int, float, float]] = []
    for entity, (first, stop) in zip(entities, pairwise(offsets), strict=True):
        for i in range(first, stop):
            line = keep if entity["open"] else 1.0
            anomalous = bool(permitted[i] and score[i] >= line)
            step = _advance(entity, present[i], anomalous, int(timestamps[i]), float(score[i]), votes, resolve_ms)
            found.append((step, entity["peak"], entity["since_ms"]))
    table = np.array(found).reshape(-1, 3)
    return table[:, 0].astype(np.int8), table[:, 1], table[:, 2].astype(np.int64)


def _advance(
    entity: Any, present: bool, anomalous: bool, ms: int, score: float, votes: tuple[int, int], resolve_ms: float
) -> int:
    """Advance one entity by one row; returns its step."""
    needed, of = votes
    last = [bool(int(entity["votes"]) >> k & 1) for k in range(of)]  # newest first
    vote = present and anomalous
    if present:
        if vote and not any(last) and not entity["open"]:
            entity["since_ms"] = ms
        last = [vote, *last[:-1]]
        entity["votes"] = sum(1 << k for k, bit in enumerate(last) if bit)
        entity["last_sample_ms"] = ms
    if entity["open"]:
        if vote:
            entity["last_vote_ms"] = ms
            entity["peak"] = max(entity["peak"], score)
            return ANOMALOUS
        if present and ms - entity["last_vote_ms"] >= resolve_ms:
            entity["open"] = entity["votes"] = 0
            return RESOLVED
        return QUIET
    if vote and sum(last) >= needed:
        entity["open"] = 1
        entity["opened_ms"] = entity["last_vote_ms"] = ms
        entity["peak"] = score
        return OPENED
    return PENDING if any(last) else CALM
