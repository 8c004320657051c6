"""Score the rows of a panel, explain the anomalous ones, and decide which of them may alert."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from foreshock_models.panel import Panel
from foreshock_models.policy import Policy
from foreshock_models.state import State
from foreshock_pipelines.scoring.causes import Causes, causes_of, last_explained, usual_values
from foreshock_pipelines.scoring.scored_rows import ScoredRows, Usual

if TYPE_CHECKING:
    from foreshock_models.detectors import Detector  # whoever imports the protocol need not load torch

__all__ = ["PanelScorer", "score_panel", "score_under"]

MAX_EXPLAINED = 200
"""Rows explained in one pass."""
FOLLOWS = 0.5
"""A row with a lower score is not part of the anomaly that was explained before it."""


class PanelScorer(Protocol):
    """Scores the rows of a panel, as `score_panel` does."""

    def __call__(
        self, detector: Detector, version: str, panel: Panel, policy: Policy, *,
        since: int | NDArray[np.int64] | None = None, state: State | None = None, usual: bool = False,
    ) -> ScoredRows: ...  # fmt: skip


def score_panel(
    detector: Detector,
    version: str,
    panel: Panel,
    policy: Policy,
    *,
    since: int | NDArray[np.int64] | None = None,
    state: State | None = None,
    usual: bool = False,
) -> ScoredRows:
    """Score the rows from `since` on, decide which may alert, and explain the anomalous ones."""
    return score_under(detector, version, panel, [policy], since=since, state=state, usual=usual)[0]


def score_under(
    detector: Detector,
    version: str,
    panel: Panel,
    policies: Sequence[Policy],
    *,
    since: int | NDArray[np.int64] | None = None,
    state: State | None = None,
    usual: bool = False,
) -> list[ScoredRows]:
    """Score as `score_panel` does, once for several policies: the results differ in `permitted` alone."""
    began = time.perf_counter()
    scores = detector.score(panel, since=since, state=state)
    seconds = {"score": time.perf_counter() - began}
    rows = Panel.require(scores.panel, detector.features_in_)
    explained = np.unique(np.concatenate([_rows_to_explain(rows, scores.score, policy) for policy in policies]))
    normal = detector.usual(rows) if len(explained) or usual else None
    beside = Usual(normal.expected, normal.lower, normal.upper) if normal is not None and usual else None
    attributions = np.zeros((0, rows.n_features))
    causes = Causes()
    if normal is not None and len(explained):
        places = _positions_in(panel, rows)[explained]
        attributions = detector.explain(panel, places).attributions
        usual_now = usual_values(panel, detector, places, max(policy.of for policy in policies))
        found_at = [(rows.entities[rows.codes[row]], int(rows.timestamps[row])) for row in explained.tolist()]
        drove = [
            causes_of(
                rows.features, shares, rows.values[row], normal.expected[row], normal.lower[row], normal.upper[row],
                is_usual,
            )
            for row, shares, is_usual in zip(explained.tolist(), attributions, usual_now, strict=True)
        ]  # fmt: skip
        causes = Causes(dict(zip(found_at, drove, strict=True)))
    latest = last_explained(rows, explained)
    some = (latest >= 0) & (scores.score >= FOLLOWS)
    found = []
    seconds["explain"] = time.perf_counter() - began - seconds["score"]
    for policy in policies:
        permitted = np.ones(rows.n_rows, np.bool_) if policy.while_warming else ~scores.warming
        if policy.selective and normal is not None and len(explained):
            permitted[some] &= policy.permitted(
                attributions[latest[some]], rows.values[some], normal.expected[some], rows.features
            )
        found.append(
            ScoredRows(
                version,
                rows,
                scores.score,
                scores.warming,
                permitted,
                causes,
                scores.state,
                scores.members,
                scores.new_normal,
                seconds,
                usual=beside,
            )
        )
    return found


def _rows_to_explain(rows: Panel, score: NDArray[np.float64], policy: Policy) -> NDArray[np.int64]:
    """In each run of anomalous rows: the first, the one that can open an alert, then one in M."""
    over = np.flatnonzero(score >= 1.0)
    if len(over) == 0:
        return over
    codes = rows.codes[over]
    begins = np.r_[True, (np.diff(over) > policy.of) | (np.diff(codes) != 0)]
    starts = np.flatnonzero(begins)
    place = np.arange(len(over)) - np.repeat(starts, np.diff(np.r_[starts, len(over)]))
    wanted = (place == 0) | ((place >= policy.needed - 1) & ((place - policy.needed + 1) % policy.of == 0))
    return _most_useful(over[wanted], codes[wanted], place[wanted] == policy.needed - 1, score)


def _most_useful(
    rows: NDArray[np.int64], codes: NDArray[np.int64], opens: NDArray[np.bool_], score: NDArray[np.float64]
) -> NDArray[np.int64]:
    """At most `MAX_EXPLAINED` rows: one of each entity before a second one of any, those that open alerts first.

    ``rows`` ``(n,)`` increasing, ``codes`` of their entities, ``opens``: rows that can open an alert.
    """
    if len(rows) <= MAX_EXPLAINED:
        return rows
    order = np.lexsort((-score[rows], ~opens, codes))  # entity by entity, the most useful row first
    starts = np.flatnonzero(np.r_[True, np.diff(codes[order]) != 0])
    turn = np.empty(len(rows), np.int64)  # of each row: how many of its entity come before it
    turn[order] = np.arange(len(rows)) - np.repeat(starts, np.diff(np.r_[starts, len(rows)]))
    return np.sort(rows[np.lexsort((-score[rows], turn))[:MAX_EXPLAINED]])


def _positions_in(panel: Panel, rows: Panel) -> NDArray[np.int64]:
    """Return the numbers of the kept rows, the last of each entity, in the panel with context ``(n_kept,)``."""
    if rows.n_rows == panel.n_rows:
        return np.arange(panel.n_rows)
    ends = dict(zip(panel.entities, panel.offsets[1:].tolist(), strict=True))
    parts = [np.arange(ends[name] - (s.stop - s.start), ends[name]) for name, s in rows]
    return np.concatenate(parts)
