"""Causes belong to the entity and the time that they are looked up for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshock_models.detectors import IForest
from foreshock_models.panel import Panel
from foreshock_models.policy import EntityState, Policy
from foreshock_pipelines.scoring.causes import Cause, Causes, causes_of, last_explained
from foreshock_pipelines.scoring.rows import MAX_EXPLAINED, score_panel
from foreshock_pipelines.scoring.scored_rows import ScoredRows

HOSTS = 24
FEATURES = ("cpu", "memory", "disk")
LEARNT, SCORED = 600, 90
STEP = 60_000


def disturbed(host: int) -> str:
    """The feature in which a host is disturbed."""
    return FEATURES[host % len(FEATURES)]


@pytest.fixture(scope="module")
def storm() -> ScoredRows:
    """Every host is disturbed at once, each in one feature, hosts with a higher number more."""
    rng = np.random.default_rng(0)
    n = LEARNT + SCORED
    values = rng.normal(0.5, 0.05, (HOSTS, n, len(FEATURES)))
    for host in range(HOSTS):
        values[host, LEARNT + 5 :, host % len(FEATURES)] += 1 + 0.2 * host
    names = tuple(f"host-{host:02d}" for host in range(HOSTS))
    times = np.tile(np.arange(n) * STEP, HOSTS)
    panel = Panel(values.reshape(-1, 3), np.arange(HOSTS + 1) * n, names, FEATURES, times)
    detector = IForest(n_trees=15).fit(panel.take(times < LEARNT * STEP))
    return score_panel(detector, "v1", panel, Policy(), since=LEARNT * STEP)


def test_with_more_anomalous_rows_than_are_explained_each_host_has_its_own_cause(storm: ScoredRows) -> None:
    panel = storm.panel
    assert int((storm.score >= 1).sum()) > 5 * MAX_EXPLAINED
    assert len(storm.causes) == MAX_EXPLAINED
    opened = np.flatnonzero(Policy().apply(panel, storm.score, storm.permitted).entity_state == EntityState.OPENED)
    assert len(opened) == HOSTS
    for row in opened.tolist():
        host = int(panel.codes[row])
        found = storm.causes.at(panel.entities[host], int(panel.timestamps[row]))
        assert [cause.feature for cause in found][:1] == [disturbed(host)]


def test_no_entity_is_left_without_an_explanation_while_another_one_has_two(storm: ScoredRows) -> None:
    counts = np.unique([entity for entity, _ in storm.causes.explained], return_counts=True)[1]
    assert len(counts) == HOSTS
    assert counts.max() - counts.min() <= 1


def test_there_is_no_cause_before_the_first_explained_row_nor_of_another_entity() -> None:
    cause = [Cause("cpu", 1.0, 0.9, 0.5, 0.4, 0.6)]
    causes = Causes({("a", 5): cause})
    assert causes.at("a", 5) == causes.at("a", 6) == cause
    assert causes.at("a", 4) == causes.at("b", 6) == []


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), unique=True))
def test_one_row_and_all_rows_at_once_are_looked_up_alike(at: list[tuple[int, int]]) -> None:
    rows = Panel.of(np.zeros(40), entities=np.repeat(list("abcd"), 10))
    explained = np.array(sorted(10 * entity + row for entity, row in at), dtype=np.int64)
    keys = [(rows.entities[rows.codes[row]], int(rows.timestamps[row])) for row in explained]
    causes = Causes({key: [Cause(str(i), 1.0, None, None, None, None)] for i, key in enumerate(keys)})
    for row, place in enumerate(last_explained(rows, explained).tolist()):
        found = causes.at(rows.entities[rows.codes[row]], int(rows.timestamps[row]))
        assert [cause.feature for cause in found] == ([] if place < 0 else [str(place)])


def test_the_causes_of_several_workers_are_those_of_each() -> None:
    one, two = Causes({("a", 1): []}), Causes({("b", 1): [Cause("cpu", 1.0, None, None, None, None)]})
    joined = Causes.join([one, two])
    assert len(joined) == 2
    assert joined.at("b", 9)[0].feature == "cpu"


def test_a_feature_within_its_usual_band_is_no_cause_whatever_its_window_holds() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(0.5, 0.05, (LEARNT + 60, 3))
    values[LEARNT + 10 : LEARNT + 14, 1] += 3  # over before the disk is disturbed
    values[LEARNT + 20 :, 2] += 1
    panel = Panel.of(values, features=FEATURES)
    detector = IForest(n_trees=15).fit(panel.rows(0, LEARNT))
    scored = score_panel(detector, "v1", panel, Policy(), since=LEARNT * STEP)
    named = {time: [c.feature for c in causes] for (_, time), causes in scored.causes.explained.items()}
    late = [features for time, features in named.items() if time >= (LEARNT + 26) * STEP]
    assert late
    assert all(features[:1] == ["disk"] for features in late)
    assert sum("memory" in features for features in late) <= len(late) / 4  # it is out of its band at times


def test_shares_are_those_of_the_features_that_deviate() -> None:
    causes = causes_of(
        FEATURES, np.array([3.0, 1.0, 1.0]), *(np.zeros(3) for _ in range(4)), usual=np.array([True, False, False])
    )
    assert [(c.feature, c.share) for c in causes] == [("memory", 0.5), ("disk", 0.5)]
