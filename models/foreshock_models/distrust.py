"""Stretches of training rows that look like incidents, so that nothing is learnt from them.

A feature of an entity is compared with its own median at that hour of the day. What lies further from it than
`FACTOR` times what nine rows in ten do, in `VOTES` rows, is no part of what is normal: medians and such quantiles
are about the same with a few percent of such rows. A feature that does so in more than `MOST` of its rows, or again
and again, is like that.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from foreshock_models.kernels.constants import QUIET_ROWS
from foreshock_models.panel import Panel
from foreshock_models.usual_values import Baseline

__all__ = ["Distrusted", "describe", "distrusted", "without"]

FACTOR = 3
VOTES = (3, 5)
MOST = 0.1
MOST_TIMES, MOST_A_DAY, MOST_DAYS = 5, 0.5, 2
"""A feature may do so so many times, or so many times a day; what it does more often, on more days than these, is
routine, as bursts of disks and of retries are."""
DAY_MS = 86_400_000
LEVEL = 0.9
"""Quantile of the distances that is the unit; as many rows may be anomalous, less a half."""


@dataclass(frozen=True, slots=True)
class Distrusted:
    """A stretch of an entity that is not learnt from.

    Parameters
    ----------
    first, last
        Times of its first and last row, in ms since the epoch.
    feature
        The feature that deviates most.
    value, usual
        Its value where it does, and its usual value there.
    rows
        How many rows these are.
    """

    entity: str
    first: int
    last: int
    feature: str
    value: float
    usual: float
    rows: int


def distrusted(panel: Panel, baseline: Baseline | None = None) -> list[Distrusted]:
    """Find the stretches of training rows that look like incidents.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(10, 1, (500, 1))
    >>> x[300:330] = 40
    >>> [(found.feature, found.rows) for found in distrusted(Panel.of(x))]
    [('feature_0', 30)]
    """
    _, usual, _ = (baseline or Baseline.fit(panel)).at(panel)
    distance = np.abs(panel.values - usual)
    unit = np.full((panel.n_entities, panel.n_features), np.nan)
    for e, (_, rows) in enumerate(panel):
        known = distance[rows][~np.isnan(distance[rows]).all(axis=1)]
        if len(known):
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="All-NaN slice encountered")
                unit[e] = np.nanquantile(known, LEVEL, axis=0)
                unit[e][~(unit[e] > 0)] = np.nan  # nearly always one value: what is rare there is no incident
    found = []
    for e, (entity, rows) in enumerate(panel):
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = distance[rows] / (FACTOR * unit[e])  # (n, F)
        over = _voted(ratio > 1.0)
        over[:, (over.mean(axis=0) > MOST) | _recurs(over, panel.timestamps[rows])] = False
        for a, b in _runs(np.asarray(over.any(axis=1))):
            part = np.where(over[a:b], ratio[a:b], 0.0)
            at, j = np.unravel_index(int(np.nanargmax(part)), part.shape)
            row = rows.start + a + int(at)
            found.append(
                Distrusted(
                    entity, int(panel.timestamps[rows.start + a]), int(panel.timestamps[rows.start + b - 1]),
                    panel.features[j], float(panel.values[row, j]), float(usual[row, j]), b - a,
                )
            )  # fmt: skip
    return found


def without(panel: Panel, stretches: Sequence[Distrusted]) -> Panel:
    """Return the rows with gaps in place of those stretches."""
    if not stretches:
        return panel
    values = panel.values.copy()
    blocks = dict(panel)
    for each in stretches:
        rows = blocks[each.entity]
        times = panel.timestamps[rows]
        values[rows][(times >= each.first) & (times <= each.last)] = np.nan
    return Panel(values, panel.offsets, panel.entities, panel.features, panel.timestamps, panel.step)


def describe(stretches: Sequence[Distrusted], most: int = 5) -> list[str]:
    """Return a line for each stretch, the longest first, and one for how many more there are."""
    lines = []
    for each in sorted(stretches, key=lambda one: -one.rows)[:most]:
        first, last = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (each.first, each.last))
        until = f"{last:%H:%M}" if first.date() == last.date() else f"{last:%Y-%m-%d %H:%M}"
        lines.append(
            f"not learnt from: {each.entity or 'the series'} {first:%Y-%m-%d %H:%M} to {until} UTC, "
            f"{each.feature} {each.value:.4g} where {each.usual:.4g} is usual"
        )
    if len(stretches) > most:
        lines.append(f"not learnt from: {len(stretches) - most} more stretches")
    return lines


def _voted(over: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Rows over the limit that are among `VOTES` such rows of one feature ``(n, F)``."""
    needed, of = VOTES
    count = np.cumsum(np.pad(over.astype(np.int64), ((of, of - 1), (0, 0))), axis=0)
    enough = (count[of:] - count[:-of]) >= needed  # (n + of - 1, F): of the window that ends at each row
    near = np.zeros_like(over)
    for k in range(of):
        near |= enough[k : k + len(over)]
    voted: NDArray[np.bool_] = over & near
    return voted


def _recurs(over: NDArray[np.bool_], timestamps: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Features that do so again and again ``(F,)``: what comes so often is normal."""
    days, day = np.unique(timestamps // DAY_MS, return_inverse=True)
    on = np.zeros((len(days), over.shape[1]), np.bool_)
    np.logical_or.at(on, day, over)
    times = np.array([len(_runs(over[:, j])) for j in range(over.shape[1])])
    often: NDArray[np.bool_] = (times > max(MOST_A_DAY * len(days), MOST_TIMES)) & (on.sum(axis=0) > MOST_DAYS)
    return often


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Half-open runs; those at most `QUIET_ROWS` apart are one."""
    at = np.flatnonzero(mask)
    if len(at) == 0:
        return []
    cuts = np.flatnonzero(np.diff(at) > QUIET_ROWS)
    return list(zip(at[np.r_[0, cuts + 1]].tolist(), (at[np.r_[cuts, len(at) - 1]] + 1).tolist(), strict=True))
