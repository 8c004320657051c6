"""Window features: what they are, and that it does not matter which rows are computed together."""

from __future__ import annotations

import numpy as np
import pytest

from foreshock_models.kernels.compiled.windows import trailing_rows, window_statistics
from foreshock_models.panel import Panel

PANEL = Panel.of(np.zeros((900, 1)), entities=np.repeat(["a", "b", "c"], 300))


@pytest.fixture
def z() -> np.ndarray:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(900, 2))
    z[rng.random(z.shape) < 0.3] = np.nan
    z[100:180] = np.nan
    return z


@pytest.mark.parametrize(("short", "long"), [(5, 60), (30, 20), (1, 1), (7, 400)])
def test_they_are_value_mean_trend_and_spread_of_the_rows_before(z: np.ndarray, short: int, long: int) -> None:
    rows, starts, _, _ = trailing_rows(PANEL.offsets, np.arange(PANEL.n_rows), 1)
    found = window_statistics(z, starts, rows, short, long)
    for j in range(2):
        for row, start in zip(rows, starts, strict=True):
            near = z[max(start, row + 1 - short) : row + 1, j]
            far = z[max(start, row + 1 - max(short, long)) : row + 1, j]
            near, far = near[~np.isnan(near)], far[~np.isnan(far)]
            mean = near.mean() if len(near) else 0.0
            trend = mean - (far.mean() if len(far) else 0.0)
            here = mean if np.isnan(z[row, j]) else z[row, j]
            spread = near.std() if len(near) else 0.0
            np.testing.assert_allclose(found[j, row], [here, mean, trend, spread], rtol=1e-5, atol=1e-6)


def test_a_row_has_the_same_features_alone_and_among_others(z: np.ndarray) -> None:
    rows, starts, _, _ = trailing_rows(PANEL.offsets, np.arange(PANEL.n_rows), 1)
    together = window_statistics(z, starts, rows, 5, 60)
    for rows in (np.arange(0, 900, 7), np.array([3, 4, 5, 6, 299, 300, 301, 899])):
        _, starts, _, _ = trailing_rows(PANEL.offsets, rows, 1)
        np.testing.assert_array_equal(window_statistics(z, starts, rows, 5, 60), together[:, rows])
