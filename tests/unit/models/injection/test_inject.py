"""Injected anomalies: their places, and each type."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from foreshock_models.errors import ConfigError, NotEnoughData
from foreshock_models.injection import ANOMALY_TYPES, InjectedAnomaly, InjectedPanel, inject
from foreshock_models.panel import Panel


def rows(n: int = 4000, n_features: int = 3, n_entities: int = 2) -> Panel:
    rng = np.random.default_rng(0)
    t = np.arange(n)
    blocks = [
        np.stack([5 + np.sin(t / 60 + e + j) + rng.normal(0, 0.1, n) for j in range(n_features)], axis=1)
        for e in range(n_entities)
    ]
    return Panel.of(np.concatenate(blocks), entities=np.repeat([f"e{e}" for e in range(n_entities)], n))


def one(name: str, panel: Panel) -> tuple[InjectedPanel, InjectedAnomaly]:
    injected = inject(panel, seed=5, types=[name])
    return injected, injected.anomalies[0]


def column_of(panel: Panel, anomaly: InjectedAnomaly) -> np.ndarray:
    return panel.values[anomaly.start : anomaly.stop, panel.features.index(anomaly.features[0])]


def test_the_same_seed_injects_the_same_anomalies_and_another_seed_others() -> None:
    first, again, other = (inject(rows(), seed=seed) for seed in (1, 1, 2))
    assert first.anomalies == again.anomalies
    np.testing.assert_array_equal(first.panel.values, again.panel.values)
    assert first.anomalies != other.anomalies


def test_only_labelled_rows_are_changed_and_the_given_rows_stay_as_they_were() -> None:
    panel = rows()
    before = panel.values.copy()
    injected = inject(panel, seed=1)
    np.testing.assert_array_equal(panel.values, before)
    changed = (injected.panel.values != before).any(axis=1)
    assert not (changed & ~injected.label).any()
    assert changed[injected.label].mean() > 0.95  # a flat line keeps its first row


def test_every_type_is_injected_about_equally_often() -> None:
    counts = Counter(a.type for seed in range(5) for a in inject(rows(20_000), seed=seed).anomalies)
    assert set(counts) == set(ANOMALY_TYPES)
    assert max(counts.values()) <= 2 * min(counts.values())


def test_about_the_asked_share_of_rows_becomes_anomalous() -> None:
    shares = [inject(rows(20_000), seed=seed, share=0.06).label.mean() for seed in range(5)]
    assert 0.04 < np.mean(shares) < 0.08


def test_every_anomaly_weighs_the_same_however_long_it_is() -> None:
    injected = inject(rows(), seed=1)
    sums = [injected.weight[a.start : a.stop].sum() for a in injected.anomalies]
    np.testing.assert_allclose(sums, injected.label.sum() / len(injected.anomalies))
    assert (injected.weight[~injected.label] == 1).all()


def test_gaps_stay_gaps_and_what_is_never_negative_stays_so() -> None:
    panel = rows()
    panel.values[::7, 1] = np.nan
    injected = inject(panel, seed=3, share=0.2).panel.values
    np.testing.assert_array_equal(np.isnan(injected), np.isnan(panel.values))
    assert np.nanmin(injected) >= 0


@pytest.mark.parametrize("seed", range(20))
def test_no_anomaly_is_injected_into_a_gap_and_one_finds_its_place_beside_it(seed: int) -> None:
    values = np.random.default_rng(0).normal(size=(300, 3))
    values[180:] = np.nan
    injected = inject(Panel.of(values), seed=seed)
    assert injected.anomalies
    assert all(np.isfinite(values[a.start : a.stop]).any() for a in injected.anomalies)


def test_a_flat_line_stands_still() -> None:
    injected, anomaly = one("flat line", rows())
    assert np.ptp(column_of(injected.panel, anomaly)) == 0


def test_a_level_shift_moves_all_rows_by_the_same() -> None:
    panel = rows()
    injected, anomaly = one("level shift", panel)
    moved = column_of(injected.panel, anomaly) - column_of(panel, anomaly)
    assert np.ptp(moved) < 1e-9
    assert abs(moved[0]) > 0.5


def test_a_lost_season_keeps_the_noise_and_loses_the_wave() -> None:
    panel = rows()
    injected = inject(panel, seed=5, types=["lost season"])
    for anomaly in injected.anomalies:
        assert abs(column_of(injected.panel, anomaly).mean() - 5) < 0.15


def test_a_broken_correlation_uses_values_that_were_there() -> None:
    panel = rows()
    injected, anomaly = one("broken correlation", panel)
    block = panel.values[panel.codes == panel.entities.index(anomaly.entity)]
    assert np.isin(column_of(injected.panel, anomaly), block).all()


def test_a_single_feature_gets_no_broken_correlation() -> None:
    types = {a.type for a in inject(rows(20_000, n_features=1), seed=1).anomalies}
    assert types == set(ANOMALY_TYPES) - {"broken correlation"}


def test_a_few_rows_get_one_anomaly_and_none_at_all_are_refused() -> None:
    assert len(inject(rows(60, n_entities=1)).anomalies) == 1
    with pytest.raises(NotEnoughData, match="no anomaly could be injected"):
        inject(rows(59, n_entities=1))


def test_an_unknown_type_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="did you mean 'spike'"):
        inject(rows(), types=["spikes"])
