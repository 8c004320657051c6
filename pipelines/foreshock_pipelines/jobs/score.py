"""Score: one pass over the rows that came since the last one.

Each entity goes on from its own cursor, its last row with a sample. Samples that arrive late, because an agent held
them back while the network or Prometheus was down, make rows before the pass: they are scored with it, in order,
so that an entity that lags is not skipped. A hole that is filled after later rows of the same entity were scored
stays unscored, for scoring it would mean to go back in time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from foreshock_models.calibration.state import State
from foreshock_models.errors import NoSamples
from foreshock_models.panel import Panel
from foreshock_models.policy import Policy, Rule
from foreshock_pipelines.datasets.source import Source
from foreshock_pipelines.datasets.windows import Windows
from foreshock_pipelines.jobfile import Job

if TYPE_CHECKING:
    from foreshock_models.detectors import Detector  # who only reads `Scored` need not load torch

__all__ = [
    "Cause", "PanelScorer", "Scored", "Usual", "causes_of", "policy_of", "score_panel", "score_pass", "score_under",
    "spans",
]  # fmt: skip

MAX_ROWS = 1440
"""Steps of the grid in one pass: a long outage is caught up in so many rows at a time."""
MAX_EXPLAINED = 200
"""Rows explained in one pass; if more are anomalous, those with the highest scores."""
CAUSES = 5


class PanelScorer(Protocol):
    """Scores the rows of a panel, as `score_panel` does."""

    def __call__(
        self, detector: Detector, version: str, panel: Panel, policy: Policy, *,
        since: int | NDArray[np.int64] | None = None, state: State | None = None, usual: bool = False,
    ) -> Scored: ...  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cause:
    """A feature that drove a score: its share of the attributions, and what it was beside what is usual."""

    feature: str
    share: float
    observed: float | None
    expected: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True)
class Usual:
    """What each feature is on a usual day at that hour, and its band: ``(n_rows, n_features)`` each."""

    expected: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]


@dataclass(frozen=True)
class Scored:
    """The scored rows of one pass.

    Attributes
    ----------
    panel : the rows, without context; none if there was no sample
    score, warming, permitted : ``(n_rows,)``
    causes : row number to the causes at that row, for rows that were explained
    state : of the detector, after the last row
    new_normal : entity and time of each regime accepted as the new normal
    seconds : stage to how long it took: ``fetch``, ``score``, ``explain``
    until_ms : up to when rows were looked for; None: the last row
    usual : of each row, if it was asked for
    """

    version: str
    panel: Panel
    score: NDArray[np.float64]
    warming: NDArray[np.bool_]
    permitted: NDArray[np.bool_]
    causes: dict[int, list[Cause]]
    state: State
    members: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    new_normal: tuple[tuple[str, int], ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    until_ms: int | None = None
    usual: Usual | None = None

    @property
    def last_ms(self) -> int:
        """The time up to which this pass brings scoring."""
        return int(self.panel.timestamps.max()) if self.until_ms is None else self.until_ms


def policy_of(job: Job) -> Policy:
    """The alert policy of a job file."""
    rules = {
        name: Rule(
            query.direction,
            query.min_deviation.fraction if query.min_deviation else 0.0,
            bool(query.min_deviation and query.min_deviation.percent),
        )
        for name, query in job.queries.items()
    }
    votes = job.alerts.for_
    return Policy(votes.needed, votes.of, job.alerts.resolve_after.total_seconds(), rules=rules)


def spans(since_ms: int, until_ms: int, step: float, max_rows: int = MAX_ROWS) -> Iterator[tuple[int, int]]:
    """Stretches ``(first, last)`` of the grid after `since_ms` up to `until_ms`, in order."""
    size = round(step * 1000)
    first = since_ms // size * size + size
    last = until_ms // size * size
    while first <= last:
        end = min(last, first + (max_rows - 1) * size)
        yield first, end
        first = end + size


def score_pass(
    detector: Detector,
    version: str,
    source: Source,
    job: Job,
    span: tuple[int, int],
    state: State | None = None,
    cursors: Mapping[str, int] | None = None,
    *,
    usual: bool = False,
    score: PanelScorer | None = None,
) -> Scored:
    """Read the rows of a span with their context, score and explain them.

    Parameters
    ----------
    cursors
        Entity to its last row with a sample, ms, of a job that was scored before: rows that arrived late since
        then are scored too, back to `MAX_ROWS` steps; a span without any sample gives no rows. Without it, such a
        span is an error: the queries may be wrong.
    usual
        Say of every row what would be usual.
    score
        What scores the rows that were read, in place of `score_panel` in this process.

    Raises
    ------
    SourceError
        The rows cannot be read; nothing was changed.
    """
    first, last = span
    began = time.perf_counter()
    context = round(detector.context * job.step_seconds * 1000)
    panel = _read(source, job, first - context, last, may_be_empty=cursors is not None)
    if panel.n_rows == 0:
        none = np.zeros(0)
        flags = none.astype(np.bool_)
        return Scored(version, panel, none, flags, flags, {}, state or detector.state_, until_ms=last)
    since = _since(panel, first, cursors)
    earliest = _earliest(panel, since, first, cursors, round(job.step_seconds * 1000))
    if earliest < first:
        panel = _read(source, job, earliest - context, last)
        since = _since(panel, first, cursors, earliest)
    fetched = time.perf_counter() - began
    found = (score or score_panel)(detector, version, panel, policy_of(job), since=since, state=state, usual=usual)
    known = [found.state] if state is None else [state, found.state]  # those without a row now go on later
    seconds = {"fetch": fetched, **found.seconds}
    return replace(found, state=State.merge(known), until_ms=last, seconds=seconds)


def _read(source: Source, job: Job, first: int, last: int, *, may_be_empty: bool = False) -> Panel:
    try:
        windows = source.read(_time(first), _time(last))
    except NoSamples:
        if not may_be_empty:
            raise
        windows = Windows.build([], dict.fromkeys(job.entity, ()), {}, step=job.step_seconds)
    if windows.n_rows or not may_be_empty:
        return windows.to_panel()
    nothing = np.zeros((0, len(job.features)))
    return Panel(nothing, np.zeros(1, np.int64), (), job.features, np.zeros(0, np.int64), job.step_seconds)


def _since(
    panel: Panel, first: int, cursors: Mapping[str, int] | None, earliest: int | None = None
) -> NDArray[np.int64]:
    """First row of each entity that is to be scored ``(n_entities,)``: `first`, or the first that came late."""
    since = np.full(panel.n_entities, first, dtype=np.int64)
    if cursors is None:
        return since
    cursor = np.array([cursors.get(name, 0) for name in panel.entities], dtype=np.int64)
    late = (panel.timestamps < first) & (panel.timestamps > cursor[panel.codes])
    late &= panel.timestamps >= (0 if earliest is None else earliest)
    rows = np.flatnonzero(late & ~np.isnan(panel.values).all(axis=1))
    np.minimum.at(since, panel.codes[rows], panel.timestamps[rows])
    return since


def _earliest(
    panel: Panel, since: NDArray[np.int64], first: int, cursors: Mapping[str, int] | None, step_ms: int
) -> int:
    """The first row that may have come late, for which context must be read; `first` if none did."""
    late = np.flatnonzero(since < first)
    if cursors is None or len(late) == 0:
        return first
    begins = int(panel.timestamps.min())
    wanted = []
    for i in late:
        following = cursors.get(panel.entities[i], begins) + step_ms
        wanted.append(min(following, int(since[i])) if following < begins else int(since[i]))
    return max(min(wanted), first - (MAX_ROWS - 1) * step_ms)


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


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
