"""Rows that a detector is fitted on, and rows that are held back to calibrate it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foreshock_models.errors import NotEnoughData
from foreshock_models.kernels.constants import UPPER_SHARE
from foreshock_models.panel import Panel

__all__ = ["HOLD_BACK", "MIN_ROWS", "calibration_rows", "check_enough", "hold_back"]

HOLD_BACK = 0.25
"""Share of the training rows, the newest, that calibration is learnt from and the scorer is not fitted on."""
WEEK_MS = 7 * 86_400_000
MIN_ROWS = 50
"""Fewer rows with a sample than this are too few to fit anything."""


def hold_back(panel: Panel, share: float = HOLD_BACK) -> tuple[Panel, NDArray[np.bool_]]:
    """Return the older rows, to fit on, and a mask ``(n_rows,)`` of the newer ones, to calibrate on.

    >>> older, held_back = hold_back(Panel.of(np.zeros((8, 1))))
    >>> older.n_rows, held_back.sum()
    (6, np.int64(2))
    """
    lengths = np.diff(panel.offsets)
    cut = np.repeat(lengths - np.floor(lengths * share).astype(np.int64), lengths)
    tail: NDArray[np.bool_] = panel.positions >= cut
    return panel.take(~tail), tail


def calibration_rows(raw: NDArray[np.float64], panel: Panel, held_back: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the rows to calibrate on ``(n_rows,)``: of each entity the held-back ones, or those of a whole week.

    The held-back rows may be those of a weekend, and a line found there is too low for Monday. Where the raw
    scores of the last week (of all rows, in a shorter history) reach higher, they are taken, although the scorer
    was fitted on some of them. Rows without a sample count only for entities that have no others.

    Parameters
    ----------
    raw
        ``(n_rows,)``: raw scores.
    held_back
        ``(n_rows,)``: rows that the scorer was not fitted on.
    """
    filled = np.asarray(~np.isnan(panel.values).all(axis=1))
    chosen = held_back.copy()
    for _, rows in panel:
        here, own = filled[rows], held_back[rows]
        if (here & own).any():
            chosen[rows] = own = here & own
        week = here & (panel.timestamps[rows] > panel.timestamps[rows.stop - 1] - WEEK_MS)
        if own.any() and week.any() and _upper(raw[rows][week]) > _upper(raw[rows][own]):
            chosen[rows] = week | own
    return chosen


def _upper(raw: NDArray[np.float64]) -> float:
    return float(np.quantile(raw, 1 - UPPER_SHARE))


def check_enough(panel: Panel, name: str) -> None:
    """Raise NotEnoughData if `panel` has too few rows to fit the detector `name`."""
    filled = int((~np.isnan(panel.values)).any(axis=1).sum())
    if filled < MIN_ROWS:
        raise NotEnoughData(
            f"{filled} rows with a sample are too few to fit {name}: it needs at least {MIN_ROWS}; "
            "take a longer history or a smaller step"
        )
