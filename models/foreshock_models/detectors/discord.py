"""Discords: sub-sequences unlike any that training has seen.

The distance of a sub-sequence to its nearest neighbour, as in Keogh, Lin and Fu, "HOT SAX: efficiently finding the
most unusual time series subsequence", ICDM 2005; against the training rows, so that it is causal.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock_models.detectors._base import Detector
from foreshock_models.detectors._space import Int, Space
from foreshock_models.detectors._windows import Stacked, carried, fitting, whole_windows
from foreshock_models.explain.explanation import Explanation
from foreshock_models.panel import Panel
from foreshock_models.scaling import Scaler

__all__ = ["Discord"]

SEVERAL, SINGLE = 64, 224
"""Default `window`, for several features and for one; of one, as far as training has so many rows (`fitting`)."""
MAX_LENGTH = 320
BATCH = 1024


class Discord(Detector):
    """How far the window that ends at a row lies from the nearest of the training rows' windows.

    The raw score is the mean squared difference to that neighbour, over the window and the features. It is a sum
    over the features, whose terms are the attributions: they add up exactly. Values are compared as they are, not
    scaled window by window: a level never seen is as strange as a shape never seen.

    Parameters
    ----------
    window
        Rows of a sub-sequence; default 64, or for a single feature 224, but a quarter of the training rows at most.
    max_windows
        Training windows that are kept, drawn at random from all: scoring a row takes time in their number.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.sin(np.arange(900) / 5)[:, None]
    >>> x[700:730] *= -1
    >>> scores = Discord(window=16).fit(x[:500]).decision_function(x)
    >>> bool(scores[700:740].max() > scores[500:690].max())
    True
    """

    name = "discord"

    def __init__(
        self,
        *,
        window: int | None = None,
        max_windows: int = 4_000,
        contamination: float = 0.01,
        random_state: int = 0,
    ) -> None:
        super().__init__(contamination=contamination, random_state=random_state)
        self.window = window
        self.max_windows = max_windows

    @classmethod
    def search_space(cls, n_features: int) -> Space:
        return {"window": Int(8, MAX_LENGTH, SINGLE if n_features == 1 else SEVERAL, log=True)}

    @property
    def context(self) -> int:
        return 2 * self.window_ - 2

    def _fit(self, panel: Panel) -> None:
        self.scaler_ = Scaler.fit(panel)
        self.window_ = self.window or (fitting(panel, SINGLE) if panel.n_features == 1 else SEVERAL)
        chosen = whole_windows(panel, self.window_, self.max_windows, self.random_state)
        self.known_ = self._windows(panel).flat(chosen)  # (n, F * window)

    def _windows(self, panel: Panel) -> Stacked:
        filled = carried(self.scaler_.transform(panel), panel, self.window_)
        return Stacked(filled.astype(np.float32), panel, self.window_)

    def _parts(self, panel: Panel, rows: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """What each feature adds to the raw score of `rows` (None: all) ``(n, F)``."""
        windows = self._windows(panel)
        rows = np.arange(panel.n_rows) if rows is None else rows
        size = (self.known_**2).sum(axis=1)
        parts = np.empty((len(rows), panel.n_features))
        for i in range(0, len(rows), BATCH):
            some = windows.flat(rows[i : i + BATCH])
            nearest = np.argmin(size - 2.0 * (some @ self.known_.T), axis=1)  # |a|² - 2ab, less what all share
            away = (some - self.known_[nearest]).reshape(len(some), panel.n_features, self.window_)
            parts[i : i + BATCH] = (away.astype(np.float64) ** 2).sum(axis=2) / some.shape[1]
        return parts

    def _decision(self, panel: Panel) -> NDArray[np.float64]:
        return self._parts(panel).sum(axis=1)

    def _decision_at(self, panel: Panel, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return self._parts(panel, rows).sum(axis=1)

    def _explain(self, panel: Panel, rows: NDArray[np.int64]) -> Explanation:
        parts = self._parts(panel, rows)
        return Explanation(panel.features, parts, np.zeros(len(rows)), parts.sum(axis=1))

    def _to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[np.generic]]]:
        entities, arrays = self.scaler_.to_arrays()
        return {"entities": entities, "window": self.window_}, {**arrays, "known": self.known_}

    def _from_arrays(self, values: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        self.scaler_ = Scaler.from_arrays(values["entities"], arrays)
        self.window_, self.known_ = values["window"], arrays["known"]
