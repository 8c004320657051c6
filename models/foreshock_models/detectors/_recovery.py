"""Recovery: the rows of alerts that ended are replaced by what was expected, for later rows to be judged by."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from foreshock_models.kernels.constants import QUIET_ROWS
from foreshock_models.panel import Panel
from foreshock_models.usual_values import Baseline

__all__ = ["Context"]

Parts = dict[str, NDArray[np.float64]]
"""Raw scores of the members of a detector, ``(n,)`` each."""


class Context:
    """The rows that raw scores look at, of which those of alerts that ended are replaced.

    A replaced value is the usual one of its hour, at the level of the rows with which the alert ended: these are
    all that live scoring is sure to have at hand.

    Parameters
    ----------
    panel
        All rows, those before the scored ones included.
    rows
        ``(n,)``: numbers of the rows to score, increasing.
    length
        Rows before a row that its raw score looks at.
    replaced
        ``(n_entities, n, 2)``: first and last row, in ms, of the alerts that ended before.
    score
        Raw scores of the members, for some rows of a panel.
    combine
        The raw score that is calibrated, from those of the members.
    parts
        Raw scores of the members for `rows`, if they are known.
    """

    def __init__(
        self,
        panel: Panel,
        rows: NDArray[np.int64],
        length: int,
        baseline: Baseline,
        replaced: NDArray[np.float64],
        score: Callable[[Panel, NDArray[np.int64]], Parts],
        combine: Callable[[Parts], NDArray[np.float64]],
        parts: Parts | None = None,
    ) -> None:
        self.panel = panel
        self.rows = rows
        self.length = length
        self.baseline = baseline
        self._score = score
        self._combine = combine
        self._owned = False
        starts = panel.timestamps[np.minimum(panel.offsets[:-1], max(panel.n_rows - 1, 0))]
        for e in np.flatnonzero((replaced[:, :, 1].max(axis=1) >= starts) & (panel.lengths > 0)).tolist():
            for first, last in replaced[e][::-1]:
                self._replace(e, first, last)
        self.parts = score(self.panel, rows) if parts is None else {k: v.copy() for k, v in parts.items()}
        self.raw = combine(self.parts)

    def rescore(
        self, entities: NDArray[np.int64], kept: NDArray[np.int64], replaced: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Replace the rows of an alert of each of `entities` that ended, and score the rows after it again.

        Parameters
        ----------
        entities
            Numbers of entities that have rows to score.
        kept
            Number of the next row of each, among those to score.
        """
        used, wanted, places = [], [], []
        n = 0
        entity_of = np.searchsorted(self.panel.offsets, self.rows, side="right") - 1
        present = np.unique(entity_of)
        for e, first, stretches in zip(present[entities].tolist(), kept.tolist(), replaced, strict=True):
            self._replace(e, *stretches[0])
            at = int(self.rows[first])
            last = min(at + self.length, int(self.panel.offsets[e + 1]))
            numbers = np.arange(first, np.searchsorted(self.rows, last))
            begin = max(at - self.length, int(self.panel.offsets[e]))
            used.append(np.arange(begin, last))
            wanted.append(self.rows[numbers] - begin + n)
            places.append(numbers)
            n += last - begin
        part = self.panel.pick(np.concatenate(used))
        found = self._score(part, np.concatenate(wanted))
        changed = np.concatenate(places)
        for name, values in found.items():
            self.parts[name][changed] = values
        self.raw[changed] = self._combine(found)
        return changed, self.raw[changed]

    def _replace(self, entity: int, first_ms: float, last_ms: float) -> None:
        """Replace the rows from one time to another."""
        a, b = int(self.panel.offsets[entity]), int(self.panel.offsets[entity + 1])
        times = self.panel.timestamps[a:b]
        begin = a + int(np.searchsorted(times, first_ms))
        end = a + int(np.searchsorted(times, last_ms, side="right"))
        if begin >= end:
            return
        if not self._owned:
            self._owned = True
            of = self.panel
            self.panel = Panel(of.values.copy(), of.offsets, of.entities, of.features, of.timestamps, of.step)
        after = min(end + QUIET_ROWS, b)
        _, usual, _ = self.baseline.at(self.panel.rows(begin, after))
        away = self.panel.values[end:after] - usual[end - begin :]
        known = ~np.isnan(away)
        level = np.where(known, away, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        level[~known.any(axis=0)] = np.nan
        self.panel.values[begin:end] = usual[: end - begin] + level
