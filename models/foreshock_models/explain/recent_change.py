"""Recent change of features: tells the cause of a high score from what has been unusual for days.

A score reflects everything that differs from training. People who look for the cause of an alert look for what
changed recently, and by how much of all that it ever varied.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foreshock_models.kernels.compiled import recent_change as kernel
from foreshock_models.kernels.constants import RECENT_ROWS
from foreshock_models.panel import Panel

__all__ = ["lookback_rows", "recent_change", "reweight"]

BEFORE_SECONDS, BEFORE_ROWS = 3600.0, (12, 60)
"""Time before the recent rows that they are compared with, and its bounds in rows."""
MIN_BLAME = 0.2
"""Share of the blame that each feature gets on top of what the detector gives it: attributions of a network are
estimates, and miss a feature that is unusual in a way of its own."""
MIN_CHANGE = 0.02
"""Change that blame alone counts for: what broke an hour ago, and stays broken, is still the cause."""


def lookback_rows(step: float) -> int:
    """Return how many rows before a row, `step` seconds apart, its recent change looks at."""
    return RECENT_ROWS - 1 + _rows_before(step)


def _rows_before(step: float) -> int:
    return int(np.clip(round(BEFORE_SECONDS / step), *BEFORE_ROWS))


def recent_change(panel: Panel, rows: NDArray[np.int64], value_range: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distance of each feature from its mean of the hour before ``(n, n_features)``, in units of its
    range.

    The row of the last ones that is farthest counts, less the more the feature varied in the hour before: what
    varies all the time has hardly changed. A feature without a value in these rows, or in that hour, is 0.

    Parameters
    ----------
    rows
        ``(n,)`` numbers of rows; there may be fewer than `lookback_rows` before them.
    value_range
        ``(n_entities, n_features)``: distance from the lowest to the highest value of training; where that is 0,
        the largest value of the rows looked at is the unit.
    """
    starts = panel.offsets[panel.codes[rows]]
    change: NDArray[np.float64] = kernel.recent_change(
        panel.values, rows, starts, value_range[panel.codes[rows]], _rows_before(panel.step)
    )
    return change


def reweight(attributions: NDArray[np.float64], change: NDArray[np.float64]) -> NDArray[np.float64]:
    """Redistribute each score ``(n, n_features)`` by recent change times the blame of the detector.

    Sums stay the same. Where a score is no higher than that of the background, which saw anomalies too, only what
    raised it is distributed, and all features share what lowered it. Where nothing raised it, attributions stay.
    """
    raised = np.maximum(attributions, 0.0)
    up = raised.sum(axis=1, keepdims=True)
    blame = raised / np.maximum(up, 1e-300)
    weights = (blame + MIN_BLAME) * change + MIN_CHANGE * blame
    share = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
    sums = attributions.sum(axis=1, keepdims=True)
    given = np.where(sums > 0, sums, up)
    found: NDArray[np.float64] = np.where(
        up > 0, given * share + (sums - given) / attributions.shape[1], attributions
    )
    return found
