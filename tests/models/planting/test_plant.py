"""Planted anomalies: where they go, and what each kind does."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from foreshock_models.errors import ConfigError, NotEnoughData
from foreshock_models.panel import Panel
from foreshock_models.planting import KINDS, Planted, PlantedPanel, plant


def rows(n: int = 4000, n_features: int = 3, n_entities: int = 2) -> Panel:
    rng = np.random.default_rng(0)
    t = np.arange(n)
    blocks = [
        np.stack([5 + np.sin(t / 60 + e + j) + rng.normal(0, 0.1, n) for j in range(n_features)], axis=1)
        for e in range(n_entities)
    ]
    return Panel.of(np.concatenate(blocks), entities=np.repeat([f"e{e}" for e in range(n_entities)], n))


def one(kind: str, panel: Panel) -> tuple[PlantedPanel, Planted]:
    planted = plant(panel, seed=5, kinds=[kind])
    return planted, planted.anomalies[0]


def column_of(panel: Panel, anomaly: Planted) -> np.ndarray:
    return panel.values[anomaly.start : anomaly.stop, panel.features.index(anomaly.features[0])]


def test_the_same_seed_plants_the_same_anomalies_and_another_seed_others() -> None:
    first, again, other = (plant(rows(), seed=seed) for seed in (1, 1, 2))
    assert first.anomalies == again.anomalies
    np.testing.assert_array_equal(first.panel.values, again.panel.values)
    assert first.anomalies != other.anomalies


def test_only_labelled_rows_are_changed_and_the_given_rows_stay_as_they_were() -> None:
    panel = rows()
    before = panel.values.copy()
    planted = plant(panel, seed=1)
    np.testing.assert_array_equal(panel.values, before)
    changed = (planted.panel.values != before).any(axis=1)
    assert not (changed & ~planted.label).any()
    assert changed[planted.label].mean() > 0.95  # a flat line keeps its first row


def test_every_kind_is_planted_about_equally_often() -> None:
    counts = Counter(a.kind for seed in range(5) for a in plant(rows(20_000), seed=seed).anomalies)
    assert set(counts) == set(KINDS)
    assert max(counts.values()) <= 2 * min(counts.values())


def test_about_the_asked_share_of_rows_becomes_anomalous() -> None:
    shares = [plant(rows(20_000), seed=seed, share=0.06).label.mean() for seed in range(5)]
    assert 0.04 < np.mean(shares) < 0.08


def test_every_anomaly_weighs_the_same_however_long_it_is() -> None:
    planted = plant(rows(), seed=1)
    sums = [planted.weight[a.start : a.stop].sum() for a in planted.anomalies]
    np.testing.assert_allclose(sums, planted.label.sum() / len(planted.anomalies))
    assert (planted.weight[~planted.label] == 1).all()


def test_gaps_stay_gaps_and_what_is_never_negative_stays_so() -> None:
    panel = rows()
    panel.values[::7, 1] = np.nan
    planted = plant(panel, seed=3, share=0.2).panel.values
    np.testing.assert_array_equal(np.isnan(planted), np.isnan(panel.values))
    assert np.nanmin(planted) >= 0


@pytest.mark.parametrize("seed", range(20))
def test_no_anomaly_is_planted_into_a_gap_and_one_finds_its_place_beside_it(seed: int) -> None:
    values = np.random.default_rng(0).normal(size=(300, 3))
    values[180:] = np.nan
    planted = plant(Panel.of(values), seed=seed)
    assert planted.anomalies
    assert all(np.isfinite(values[a.start : a.stop]).any() for a in planted.anomalies)


def test_a_flat_line_stands_still() -> None:
    planted, anomaly = one("flat line", rows())
    assert np.ptp(column_of(planted.panel, anomaly)) == 0


def test_a_level_shift_moves_all_rows_by_the_same() -> None:
    panel = rows()
    planted, anomaly = one("level shift", panel)
    moved = column_of(planted.panel, anomaly) - column_of(panel, anomaly)
    assert np.ptp(moved) < 1e-9
    assert abs(moved[0]) > 0.5


def test_a_lost_season_keeps_the_noise_and_loses_the_wave() -> None:
    panel = rows()
    planted = plant(panel, seed=5, kinds=["lost season"])
    for anomaly in planted.anomalies:
        assert abs(column_of(planted.panel, anomaly).mean() - 5) < 0.15


def test_a_broken_correlation_uses_values_that_were_there() -> None:
    panel = rows()
    planted, anomaly = one("broken correlation", panel)
    block = panel.values[panel.codes == panel.entities.index(anomaly.entity)]
    assert np.isin(column_of(planted.panel, anomaly), block).all()


def test_a_single_feature_gets_no_broken_correlation() -> None:
    kinds = {a.kind for a in plant(rows(20_000, n_features=1), seed=1).anomalies}
    assert kinds == set(KINDS) - {"broken correlation"}


def test_a_few_rows_get_one_anomaly_and_none_at_all_are_refused() -> None:
    assert len(plant(rows(60, n_entities=1)).anomalies) == 1
    with pytest.raises(NotEnoughData, match="no anomaly could be planted"):
        plant(rows(59, n_entities=1))


def test_an_unknown_kind_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="did you mean 'spike'"):
        plant(rows(), kinds=["spikes"])
