"""Windows of rows, each within one entity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foreshock_models.kernels.compiled.windows import forward_fill
from foreshock_models.panel import Panel
from foreshock_models.scaling import Scaler

__all__ = ["TrailingWindows", "filled_windows", "fitting_length", "row_starts", "sample_whole_windows"]


class TrailingWindows:
    """The window that ends at each row, ``(n_rows, span, n_features)``, gathered on demand.

    Before an entity's first row, that row is repeated.

    Parameters
    ----------
    x
        ``(n_rows, n_features)``: the rows of `panel`, gaps filled.
    """

    def __init__(self, x: NDArray[np.float32], panel: Panel, span: int) -> None:
        self.x = x
        self.starts = row_starts(panel)
        self.back = np.arange(-span + 1, 1)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        at = np.maximum(rows[:, None] + self.back, self.starts[rows][:, None])  # (n, span)
        windows: NDArray[np.float32] = self.x[at]
        return windows

    def flat(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the windows feature by feature: ``(n, n_features * span)``."""
        return np.ascontiguousarray(self[rows].transpose(0, 2, 1)).reshape(len(rows), -1)


def filled_windows(scaler: Scaler, panel: Panel, span: int) -> TrailingWindows:
    """Return windows of scaled rows; gaps are filled with the last value within `span` rows, else with 0."""
    filled = forward_fill(np.ascontiguousarray(scaler.transform(panel)), panel.offsets, span)
    return TrailingWindows(filled.astype(np.float32), panel, span)


def row_starts(panel: Panel) -> NDArray[np.int64]:
    """Return the first row of the entity that each row belongs to ``(n_rows,)``."""
    return np.repeat(panel.offsets[:-1], panel.lengths)


def sample_whole_windows(panel: Panel, span: int, most: int, seed: int) -> NDArray[np.int64]:
    """Return numbers of rows whose window is within their entity, in order; at most `most`, drawn at random."""
    shortest = int(panel.lengths.min())
    whole = np.flatnonzero(panel.positions >= min(span - 1, shortest - 1))
    rng = np.random.default_rng(seed)
    return np.sort(rng.choice(whole, size=min(len(whole), most), replace=False))


def fitting_length(panel: Panel, wanted: int) -> int:
    """Return `wanted`, or a quarter of the longest entity's rows if these are fewer, but at least 16.

    >>> fitting_length(Panel.of(np.zeros((400, 1))), 224)
    100
    """
    return min(wanted, max(16, int(panel.lengths.max()) // 4))
