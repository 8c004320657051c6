"""The tail of normal scores: peaks over threshold with a generalised Pareto distribution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = ["Tail", "fit_tail", "nth_largest"]

QUANTILE = 0.98
LOWER_QUANTILES = (0.96, 0.93, 0.9, 0.85, 0.8)
"""Thresholds to fall back to where few events exceed the first."""
MIN_PEAKS = 5
UNLIKE = 10.0
"""An entity whose peaks are so many times as high as those of the median one is unlike the others."""
GAP = 5
"""Peaks closer than so many rows belong to one event."""
SHAPES = (0.0, 0.2)
"""Bounds of the shape: the tail of normal scores is at least exponential, and no heavier than this."""


@dataclass(frozen=True, slots=True)
class Tail:
    """Tail of normal scores: `rate` events per row exceed `threshold`, by a generalised Pareto distributed excess.

    Examples
    --------
    >>> round(Tail(threshold=2.0, rate=0.01, scale=1.0, shape=0.0).quantile(np.log(0.001)), 3)
    4.303
    """

    threshold: float = 2.0
    rate: float = 0.005
    scale: float = 1.0
    shape: float = 0.1

    def quantile(self, log_rate: float) -> float:
        """Return the level that events exceed at ``exp(log_rate)`` per row."""
        ratio = np.log(self.rate) - log_rate
        if self.shape < 1e-6:
            return float(self.threshold + self.scale * ratio)
        return float(self.threshold + self.scale / self.shape * np.expm1(self.shape * ratio))

    def own_shift(self, filtered: NDArray[np.float64]) -> float:
        """Return how much higher the threshold of one entity is than the shared one, in its own spread."""
        if len(filtered) < 100:
            return 0.0
        own = float(np.quantile(filtered, QUANTILE))
        return float(np.clip(own - self.threshold, -self.threshold, 4 * self.scale)) * min(
            1.0, len(filtered) / 2000
        )

    def as_dict(self) -> dict[str, float]:
        """Return the parameters by name."""
        return asdict(self)


def nth_largest(values: NDArray[np.float64], n: int, of: int) -> NDArray[np.float64]:
    """Return the n-th largest of the last `of` values at each row ``(n_rows,)``: what an N-of-M rule looks at."""
    if len(values) == 0:
        return values
    padded = np.concatenate([np.full(of - 1, -np.inf), values])
    windows = sliding_window_view(padded, of)
    out = np.partition(windows, of - n, axis=1)[:, of - n]
    return np.where(np.isfinite(out), out, values.min())


def fit_tail(filtered: Sequence[NDArray[np.float64]]) -> Tail:
    """Fit the tail of the filtered scores of all entities together.

    An entity whose peaks lie far higher than those of the others has no part in it: one host in trouble must not
    move the line of all.

    Parameters
    ----------
    filtered
        One array per entity, in units of that entity's spread.
    """
    everything = np.concatenate(filtered) if filtered else np.zeros(0)
    if len(everything) < 50 or np.ptp(everything) == 0:
        return Tail()
    for quantile in (QUANTILE, *LOWER_QUANTILES):
        threshold = float(np.quantile(everything, quantile))
        excess = [_peaks(values, threshold) - threshold for values in filtered]
        if sum(map(len, excess)) >= MIN_PEAKS:
            break
    heights = np.array([each.mean() if len(each) else np.nan for each in excess])
    if np.isnan(heights).all():
        return Tail(threshold, 1 / len(everything))
    alike = ~(heights > UNLIKE * np.nanmedian(heights))
    shared = np.concatenate([each for each, take in zip(excess, alike, strict=True) if take])
    rows = sum(len(values) for values, take in zip(filtered, alike, strict=True) if take)
    scale, shape = _fit_pareto(shared)
    return Tail(threshold, len(shared) / rows, scale, shape)


def _peaks(values: NDArray[np.float64], threshold: float) -> NDArray[np.float64]:
    """Highest value of each run above the threshold; runs at most `GAP` rows apart are one."""
    above = np.flatnonzero(values > threshold)
    if len(above) == 0:
        return np.zeros(0)
    starts = np.flatnonzero(np.r_[True, np.diff(above) > GAP])
    return np.maximum.reduceat(values[above], starts)


def _fit_pareto(excess: NDArray[np.float64]) -> tuple[float, float]:
    """Scale and shape by probability-weighted moments (Hosking and Wallis, 1987); winsorised at the top."""
    x = np.sort(np.minimum(excess, np.quantile(excess, 0.99) * 1.5))
    n = len(x)
    mean = float(x.mean())
    weighted = float(np.sum((n - 1 - np.arange(n)) / max(n - 1, 1) * x) / n)
    if mean <= 0:
        return 1e-6, 0.0
    shape = 2 - mean / max(mean - 2 * weighted, 1e-12) if mean > 2 * weighted else 0.0
    shape = float(np.clip(shape, *SHAPES)) if n >= 20 else 0.0
    return max(mean * (1 - shape), 1e-6), shape
