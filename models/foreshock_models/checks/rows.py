"""Synthetic rows for checks: waves with anomalies for detectors, a daily load for forecasters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foreshock_models.panel import Panel

__all__ = [
    "HOUR_MS",
    "START_MS",
    "daily_load",
    "first_rows",
    "hourly_panel",
    "waves",
    "with_anomalies",
    "with_gaps",
]

HOUR_MS = 3_600_000
START_MS = 1_772_409_600_000 - 28 * 24 * HOUR_MS
"""First hour of `hourly_panel`: a Monday, 00:00 UTC."""


def waves(n: int, first: int, *, seed: int, n_features: int, n_entities: int = 2) -> Panel:
    """Return `n` rows of sine waves with noise from row `first` on, of entities on different scales."""
    rng = np.random.default_rng(seed)
    t = np.arange(first, first + n)
    blocks = []
    for e in range(n_entities):
        columns = np.stack([np.sin(t / (9 + 4 * j) + e) for j in range(n_features)], axis=1)
        blocks.append((columns + rng.normal(0, 0.1, columns.shape)) * 10.0**e + 5 * e)
    return Panel(
        values=np.concatenate(blocks),
        offsets=np.arange(n_entities + 1) * n,
        entities=tuple(f"e{e}" for e in range(n_entities)),
        features=tuple(f"f{j}" for j in range(n_features)),
        timestamps=np.tile(t * 60_000, n_entities).astype(np.int64),
        step=60.0,
    )


def with_anomalies(panel: Panel, *stretches: tuple[int, int]) -> tuple[Panel, NDArray[np.bool_]]:
    """Return a copy with the first feature raised in these rows of each entity, and their mask ``(n_rows,)``."""
    values, label = panel.values.copy(), np.zeros(panel.n_rows, np.bool_)
    for _, block in panel:
        height = 3 * np.ptp(values[block.start : block.start + 60, 0])
        for first, stop in stretches:
            rows = slice(block.start + first, block.start + stop)
            values[rows, 0] += height
            label[rows] = True
    return _replaced(panel, values), label


def with_gaps(panel: Panel, seed: int) -> Panel:
    """Return a copy with lost samples and an outage; of three features, one is constant and one always empty."""
    rng = np.random.default_rng(seed)
    values = panel.values.copy()
    values[rng.random(values.shape) < 0.05] = np.nan
    values[200:260] = np.nan
    if panel.n_features > 2:
        values[:, 1] = 4.0
        values[:, 2] = np.nan
    return _replaced(panel, values)


def first_rows(panel: Panel, n: int) -> Panel:
    """Return the first `n` rows of each entity."""
    return panel.take(panel.positions < n)


def daily_load(n: int = 14 * 24, *, seed: int = 1, noise: float = 1.0) -> NDArray[np.float64]:
    """Return `n` hours of a load with a daily season, 20 at night and 80 by day, and noise that lasts for hours."""
    rng = np.random.default_rng(seed)
    hours = np.arange(n)
    white = rng.normal(size=n)
    slow = np.zeros(n)
    for i in range(1, n):
        slow[i] = 0.8 * slow[i - 1] + white[i]
    load: NDArray[np.float64] = 50 - 30 * np.cos(2 * np.pi * hours / 24) + 2 * noise * slow
    return load


def hourly_panel(*columns: NDArray[np.float64], entity: str = "host-1", start: int = START_MS) -> Panel:
    """Return hourly rows of one entity, one column a feature."""
    n = len(columns[0])
    return Panel(
        values=np.ascontiguousarray(np.stack(columns, axis=1)),
        offsets=np.array([0, n]),
        entities=(entity,),
        features=tuple(f"f{j}" for j in range(len(columns))),
        timestamps=(start + np.arange(n) * HOUR_MS).astype(np.int64),
        step=3600.0,
    )


def _replaced(panel: Panel, values: NDArray[np.float64]) -> Panel:
    return Panel(values, panel.offsets, panel.entities, panel.features, panel.timestamps, panel.step)
