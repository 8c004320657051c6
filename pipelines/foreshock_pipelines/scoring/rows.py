"""Score the rows of a panel, explain the anomalous ones, and decide which of them may alert."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from foreshock_models.calibration.state import State
from foreshock_models.panel import Panel
from foreshock_models.policy import Policy
from foreshock_pipelines.scoring.scored import Cause, Scored, Usual

if TYPE_CHECKING:
    from foreshock_models.detectors import Detector  # whoever imports the protocol need not load torch

__all__ = ["PanelScorer", "causes_of", "score_panel", "score_under"]

MAX_EXPLAINED = 200
"""Rows explained in one pass; if more are anomalous, those with the highest scores."""
CAUSES = 5


class PanelScorer(Protocol):
    """Scores the rows of a panel, as `score_panel` does."""

    def __call__(
        self, detector: Detector, version: str, panel: Panel, policy: Policy, *,
        since: int | NDArray[np.int64] | None = None, state: State | None = None, usual: bool = False,
    ) -> Scored: ...  # fmt: skip


def score_panel(
    detector: Detector,
    version: str,
    panel: Panel,
    policy: Policy,
    *,
    since: int | NDArray[np.int64] | None = None,
    state: State | None = None,
    usual: bool = False,
) -> Scored:
    """Score rows from `since` on, say which may alert, and why the anomalous ones are."""
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
) -> list[Scored]:
    """As `score_panel`, once for several policies: what they give differs in `permitted` alone."""
    began = time.perf_counter()
    scores = detector.score(panel, since=since, state=state)
    seconds = {"score": time.perf_counter() - began}
    rows = Panel.require(scores.panel, detector.features_in_)
    explained = np.unique(np.concatenate([_rows_to_explain(rows, scores.score, policy) for policy in policies]))
    normal = detector.usual(rows) if len(explained) or usual else None
    beside = Usual(normal.expected, normal.lower, normal.upper) if normal is not None and usual else None
    attributions = np.zeros((0, rows.n_features))
    causes: dict[int, list[Cause]] = {}
    if normal is not None and len(explained):
        attributions = detector.explain(panel, _positions_in(panel, rows)[explained]).attributions
        causes = {
            row: causes_of(
                rows.features, values, rows.values[row], normal.expected[row], normal.lower[row], normal.upper[row]
            )
            for row, values in zip(explained.tolist(), attributions, strict=True)
        }
    latest = _latest_explained(rows, explained, scores.score) if len(explained) else np.full(rows.n_rows, -1)
    some = latest >= 0
    found = []
    seconds["explain"] = time.perf_counter() - began - seconds["score"]
    for policy in policies:
        permitted = np.ones(rows.n_rows, np.bool_)
        if policy.selective and normal is not None and len(explained):
            permitted[some] = policy.permitted(
                attributions[latest[some]], rows.values[some], normal.expected[some], rows.features
            )
        found.append(
            Scored(
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
    chosen = over[wanted]
    if len(chosen) > MAX_EXPLAINED:
        chosen = np.sort(chosen[np.argsort(-score[chosen], kind="stable")[:MAX_EXPLAINED]])
    return chosen


def _latest_explained(rows: Panel, explained: NDArray[np.int64], score: NDArray[np.float64]) -> NDArray[np.int64]:
    """For each row, which explained row of its entity was the last not after it; -1 for none ``(n_rows,)``."""
    at = np.searchsorted(explained, np.arange(rows.n_rows), side="right") - 1
    same = rows.codes[explained[np.maximum(at, 0)]] == rows.codes
    latest: NDArray[np.int64] = np.where((at >= 0) & same & (score >= 0.5), at, -1)
    return latest


def _positions_in(panel: Panel, rows: Panel) -> NDArray[np.int64]:
    """Where the kept rows stand in the panel with context: the last ones of each entity ``(n_kept,)``."""
    if rows.n_rows == panel.n_rows:
        return np.arange(panel.n_rows)
    ends = dict(zip(panel.entities, panel.offsets[1:].tolist(), strict=True))
    parts = [np.arange(ends[name] - (s.stop - s.start), ends[name]) for name, s in rows]
    return np.concatenate(parts)


def causes_of(
    features: tuple[str, ...],
    attributions: NDArray[np.float64],
    observed: NDArray[np.float64],
    expected: NDArray[np.float64],
    lower: NDArray[np.float64],
    upper: NDArray[np.float64],
) -> list[Cause]:
    """The features that drove one row's score, the largest first; each argument ``(n_features,)``."""
    positive = np.maximum(attributions, 0.0)
    share = positive / max(float(positive.sum()), 1e-12)
    order = np.argsort(-share, kind="stable")[:CAUSES]
    return [
        Cause(features[j], round(float(share[j]), 4), *(_number(x[j]) for x in (observed, expected, lower, upper)))
        for j in order
        if share[j] > 0.01
    ]


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
