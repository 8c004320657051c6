"""Rows that a detector is fitted on, and rows that are held back to calibrate it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foreshock_models.errors import NotEnoughData
from foreshock_models.panel import Panel

__all__ = ["HOLD_BACK", "MIN_ROWS", "check_enough", "hold_back"]

HOLD_BACK = 0.25
"""Share of the training rows, the newest, that calibration is learnt from and the scorer is not fitted on."""
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


def check_enough(panel: Panel, name: str) -> None:
    """Raise NotEnoughData if `panel` has too few rows to fit the detector `name`."""
    filled = int((~np.isnan(panel.values)).any(axis=1).sum())
    if filled < MIN_ROWS:
        raise NotEnoughData(
            f"{filled} rows with a sample are too few to fit {name}: it needs at least {MIN_ROWS}; "
            "take a longer history or a smaller step"
        )
