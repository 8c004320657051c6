"""Usual values by hour of the day."""

from __future__ import annotations

import numpy as np

from foreshock_models.panel import Panel
from foreshock_models.usual_values import HOURS, QUANTILES, Baseline

DAY = 1440


def test_each_hour_has_the_quantiles_of_its_own_rows_and_of_the_whole_where_it_has_none() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2 * 3 * DAY, 3))
    values[rng.random(values.shape) < 0.2] = np.nan
    values[: 3 * DAY, 1] = np.nan  # the first entity does not have this feature
    panel = Panel.of(values, entities=np.repeat(["a", "b"], 3 * DAY))
    hours = panel.timestamps // 3_600_000 % HOURS
    panel.values[hours == 5, 2] = np.nan

    table = Baseline.fit(panel).table

    for i, (_, rows) in enumerate(panel):
        block, hour = panel.values[rows], hours[rows]
        for j in range(3):
            if np.isnan(block[:, j]).all():
                assert np.isnan(table[i, :, :, j]).all()
                continue
            for h in range(HOURS):
                own = block[hour == h, j] if (j, h) != (2, 5) else block[:, j]
                np.testing.assert_allclose(table[i, h, :, j], np.nanquantile(own, QUANTILES), rtol=1e-6)


def test_with_less_than_two_days_the_whole_day_is_one() -> None:
    values = np.random.default_rng(0).normal(size=(DAY, 1))
    table = Baseline.fit(Panel.of(values)).table[0, :, :, 0]
    np.testing.assert_allclose(table, np.tile(np.quantile(values, QUANTILES), (HOURS, 1)), rtol=1e-6)
