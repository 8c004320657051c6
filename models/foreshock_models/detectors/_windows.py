"""Causal window features: level, trend and spread of each feature over the rows before, in one pass."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from foreshock_models.panel import Panel

__all__ = ["N_WINDOW_FEATURES", "carried", "smooth", "trailing_windows", "whole_windows", "window_features"]

N_WINDOW_FEATURES = 4


@njit(cache=True, nogil=True)
def window_features(
    z: NDArray[np.float64], offsets: NDArray[np.int64], short: int, long: int
) -> NDArray[np.float32]:
    """``(n_rows, n_features)`` scaled values -> ``(n_features, n_rows, 4)``.

    For each feature and row: the value, the mean of the last `short` rows, that mean less the mean of the last
    `long` rows, and the standard deviation of the last `short` rows. A gap takes no part; a window without any
    value gives 0. Sums are taken anew for each row: a running sum would depend on where a series begins.
    """
    n, f = z.shape
    out = np.zeros((f, n, 4), np.float32)
    for e in range(len(offsets) - 1):
        a, b = offsets[e], offsets[e + 1]
        for j in range(f):
            for i in range(a, b):
                total = 0.0
                square = 0.0
                count = 0
                for k in range(max(a, i - short + 1), i + 1):
                    v = z[k, j]
                    if v == v:
                        total += v
                        square += v * v
                        count += 1
                far = total
                far_count = count
                for k in range(max(a, i - long + 1), max(a, i - short + 1)):
                    v = z[k, j]
                    if v == v:
                        far += v
                        far_count += 1
                mean = total / count if count else 0.0
                far_mean = far / far_count if far_count else 0.0
                here = z[i, j]
                out[j, i, 0] = here if here == here else mean
                out[j, i, 1] = mean
                out[j, i, 2] = mean - far_mean
                out[j, i, 3] = np.sqrt(max(square / count - mean * mean, 0.0)) if count else 0.0
    return out


@njit(cache=True, nogil=True)
def smooth(values: NDArray[np.float64], offsets: NDArray[np.int64], rows: int) -> NDArray[np.float64]:
    """Mean over the last `rows` rows of each entity: ``(n_rows, n_columns)`` -> the same shape."""
    _n, f = values.shape
    out = np.empty_like(values)
    for e in range(len(offsets) - 1):
        a = offsets[e]
        for i in range(a, offsets[e + 1]):
            first = max(a, i - rows + 1)
            for j in range(f):
                total = 0.0
                for k in range(first, i + 1):
                    total += values[k, j]
                out[i, j] = total / (i + 1 - first)
    return out


def carried(scaled: NDArray[np.float64], panel: Panel, rows: int) -> NDArray[np.float64]:
    """Scaled values ``(n_rows, F)`` with gaps filled by the last value within `rows`, else by 0."""
    number = np.arange(panel.n_rows)[:, None]
    last = np.where(np.isnan(scaled), -1, number)
    for _, block in panel:
        last[block] = np.maximum.accumulate(last[block], axis=0)
    usable = (last >= 0) & (number - last < rows)
    filled: NDArray[np.float64] = np.where(usable, np.take_along_axis(scaled, np.maximum(last, 0), axis=0), 0.0)
    return filled


def trailing_windows(scaled: NDArray[np.float64], panel: Panel, window: int) -> NDArray[np.float64]:
    """``(n_rows, F * window)``: the window that ends at each row, feature by feature, gaps filled.

    Before an entity's first row, that row is repeated.
    """
    filled = carried(scaled, panel, window)
    out = np.empty((panel.n_rows, window * panel.n_features))
    for _, rows in panel:
        padded = np.concatenate([np.repeat(filled[rows][:1], window - 1, axis=0), filled[rows]])
        out[rows] = sliding_window_view(padded, window, axis=0).reshape(rows.stop - rows.start, -1)
    return out


def whole_windows(panel: Panel, window: int, most: int, seed: int) -> NDArray[np.int64]:
    """Numbers of rows whose window lies within their entity, in order; at most `most`, drawn at random."""
    shortest = int(np.diff(panel.offsets).min())
    whole = np.flatnonzero(panel.positions >= min(window - 1, shortest - 1))
    rng = np.random.default_rng(seed)
    return np.sort(rng.choice(whole, size=min(len(whole), most), replace=False))
