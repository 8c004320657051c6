"""Discords: sub-sequences unlike any in training [1]_.

.. [1] Keogh, Lin and Fu, "HOT SAX: efficiently finding the most unusual time series subsequence", ICDM 2005; here
   the nearest neighbour is searched among the training rows, so that the score is causal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from foreshock_models.detectors._detector import Detector
from foreshock_models.detectors._scorer import AdditiveScorer, Arrays
from foreshock_models.detectors._search_space import Int, Space
from foreshock_models.detectors._windows import filled_windows, fitting_length, sample_whole_windows
from foreshock_models.panel import Panel
from foreshock_models.saved_arrays import saved_array
from foreshock_models.scaling import Scaler

__all__ = ["Discord", "DiscordScorer"]

WINDOW, WINDOW_OF_ONE = 64, 224
"""Default `window`, for several features and for one; for one, as far as training has so many rows."""
MAX_LENGTH = 320
"""A search tries no longer windows."""
BATCH = 1024


class Discord(Detector):
    """Distance of the window that ends at a row from the nearest window of the training rows.

    The raw score is the mean squared difference to that neighbour, over the window and the features. It is a sum
    over the features, whose terms are the attributions: they add up exactly. Values are compared as they are,
    not normalised per window: a level never seen is as anomalous as a shape never seen.

    Parameters
    ----------
    window
        Rows of a sub-sequence; default: 64, or 224 for a single feature, but a quarter of the training rows at
        most.
    max_windows
        Training windows that are kept, drawn at random from all. The time to score a row grows with their number.
    contamination
        Share of the training rows that `predict` calls outliers.
    random_state
        Seed; the same seed gives the same model.

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
    exact_attributions = True

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
    def check_cases(cls) -> Sequence[Self]:
        return (cls(window=16),)

    @classmethod
    def search_space(cls, n_features: int) -> Space:
        return {"window": Int(8, MAX_LENGTH, WINDOW_OF_ONE if n_features == 1 else WINDOW, log=True)}

    def _fit_scorer(self, panel: Panel) -> DiscordScorer:
        scaler = Scaler.fit(panel)
        window = self.window or (fitting_length(panel, WINDOW_OF_ONE) if panel.n_features == 1 else WINDOW)
        chosen = sample_whole_windows(panel, window, self.max_windows, self.random_state)
        return DiscordScorer(scaler, window, filled_windows(scaler, panel, window).flat(chosen))

    def _load_scorer(self, values: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> DiscordScorer:
        scaler = Scaler.from_arrays(values["entities"], arrays, self.n_features_in_)
        n = self.n_features_in_ * values["window"]
        return DiscordScorer(scaler, values["window"], saved_array(arrays, "known", (None, n), np.float32))


class DiscordScorer(AdditiveScorer):
    """Squared distance of windows to the nearest training window.

    Parameters
    ----------
    window
        Rows of a window.
    known
        ``(n_windows, n_features * window)``: training windows, feature by feature.
    """

    def __init__(self, scaler: Scaler, window: int, known: NDArray[np.float32]) -> None:
        self.scaler = scaler
        self.window = window
        self.known = known

    @property
    def context(self) -> int:
        return 2 * self.window - 2

    def to_arrays(self) -> Arrays:
        entities, arrays = self.scaler.to_arrays()
        return {"entities": entities, "window": self.window}, {**arrays, "known": self.known}

    def _contributions(self, panel: Panel, rows: NDArray[np.int64] | None) -> NDArray[np.float64]:
        windows = filled_windows(self.scaler, panel, self.window)
        rows = np.arange(panel.n_rows) if rows is None else rows
        size = (self.known**2).sum(axis=1)
        parts = np.empty((len(rows), panel.n_features))
        for i in range(0, len(rows), BATCH):
            some = windows.flat(rows[i : i + BATCH])
            nearest = np.argmin(size - 2.0 * (some @ self.known.T), axis=1)  # |a|² - 2ab: |b|² is the same for all
            away = (some - self.known[nearest]).reshape(len(some), panel.n_features, self.window)
            parts[i : i + BATCH] = (away.astype(np.float64) ** 2).sum(axis=2) / some.shape[1]
        return parts
