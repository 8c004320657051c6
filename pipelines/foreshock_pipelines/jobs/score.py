"""Score: one pass over the rows that arrived since the last one.

Each entity continues from its own cursor, its last row with a sample. Samples that arrive late, because an agent
buffered them while the network or Prometheus was down, make rows before the pass: the pass scores them in order, so
that an entity that lags is not skipped. A gap that is filled after later rows of the same entity were scored stays
unscored, for scoring it would mean to go back in time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foreshock_models.errors import NoSamples
from foreshock_models.panel import Panel
from foreshock_models.state import State
from foreshock_pipelines.datasets.windows import Windows
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.scoring.alert_policy import alert_policy
from foreshock_pipelines.scoring.causes import Causes
from foreshock_pipelines.scoring.rows import PanelScorer, score_panel
from foreshock_pipelines.scoring.scored_rows import ScoredRows
from foreshock_pipelines.sources import Source

if TYPE_CHECKING:
    from foreshock_models.detectors import Detector  # whoever only needs `spans` need not load torch

__all__ = ["score_pass", "spans"]

MAX_ROWS = 1440
"""Steps of the grid in one pass: after a long outage, several passes catch up."""


def spans(since_ms: int, until_ms: int, step: float, max_rows: int = MAX_ROWS) -> Iterator[tuple[int, int]]:
    """Yield stretches ``(first, last)`` of the grid after `since_ms` up to `until_ms`, in order."""
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
) -> ScoredRows:
    """Read the rows of a span with their context, score and explain them.

    Parameters
    ----------
    cursors
        Entity to its last row with a sample, ms, of a job that was scored before: rows that arrived late since
        then are scored too, back to `MAX_ROWS` steps; a span without any sample gives no rows. Without it, such a
        span is an error: the queries may be wrong.
    usual
        Add the usual values of every row.
    score
        Scores the rows that were read, in place of `score_panel` in this process.

    Raises
    ------
    SourceError
        The rows cannot be read; nothing was changed.
    """
    first, last = span
    began = time.perf_counter()
    context = round(detector.context * job.step_seconds * 1000)
    panel, partial = _read(source, job, first - context, last, may_be_empty=cursors is not None)
    if panel.n_rows == 0:
        none = np.zeros(0)
        flags = none.astype(np.bool_)
        return ScoredRows(
            version, panel, none, flags, flags, Causes(), state or detector.state_, until_ms=last, partial=partial
        )
    since = _since(panel, first, cursors)
    earliest = _earliest(panel, since, first, cursors, round(job.step_seconds * 1000))
    if earliest < first:
        panel, partial = _read(source, job, earliest - context, last)  # all of the rows before, too
        since = _since(panel, first, cursors, earliest)
    fetched = time.perf_counter() - began
    found = (score or score_panel)(
        detector, version, panel, alert_policy(job), since=since, state=state, usual=usual
    )
    known = [found.state] if state is None else [state, found.state]  # those without a row now go on later
    seconds = {"fetch": fetched, **found.seconds}
    return replace(found, state=State.merge(known), until_ms=last, seconds=seconds, partial=partial)


def _read(
    source: Source, job: Job, first: int, last: int, *, may_be_empty: bool = False
) -> tuple[Panel, tuple[str, ...]]:
    """Read rows, and why some may be missing."""
    try:
        windows = source.read(_time(first), _time(last))
    except NoSamples:
        if not may_be_empty:
            raise
        windows = Windows.build([], dict.fromkeys(job.entity, ()), {}, step=job.step_seconds)
    if windows.n_rows or not may_be_empty:
        return windows.to_panel(), windows.partial
    nothing = np.zeros((0, len(job.features)))
    empty = Panel(nothing, np.zeros(1, np.int64), (), job.features, np.zeros(0, np.int64), job.step_seconds)
    return empty, windows.partial


def _since(
    panel: Panel, first: int, cursors: Mapping[str, int] | None, earliest: int | None = None
) -> NDArray[np.int64]:
    """Return the time of each entity's first row to score ``(n_entities,)``: `first`, or the first late row."""
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
    """Return the time of the first row that may be late, for which context must be read; `first` if none is."""
    late = np.flatnonzero(since < first)
    if cursors is None or len(late) == 0:
        return first
    begins = int(panel.timestamps.min())
    wanted = []
    for i in late:
        following = cursors.get(panel.entities[i], begins) + step_ms
        wanted.append(min(following, int(since[i])) if following < begins else int(since[i]))
    return max(min(wanted), first - (MAX_ROWS - 1) * step_ms)


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
