"""Root causes are found at the onset, explained, and not invented."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshock_models.rootcause import Metric, departures, rank_causes

NODES = ("web", "cart", "db", "cache")
METRICS = [Metric(node, kind) for node in NODES for kind in ("latency", "errors")]
CALLS = {"web": ["cart", "cache"], "cart": ["db"]}
SYMPTOM = Metric("web", "latency")
ONSET = 8


def column(node: str, kind: str) -> int:
    return METRICS.index(Metric(node, kind))


@pytest.fixture
def quiet() -> np.ndarray:
    return np.random.default_rng(1).normal(1.0, 0.1, (300, len(METRICS)))


@pytest.fixture
def rows() -> np.ndarray:
    return np.random.default_rng(2).normal(1.0, 0.1, (14, len(METRICS)))


def test_the_node_where_it_began_is_first_and_says_why(rows: np.ndarray, quiet: np.ndarray) -> None:
    rows[ONSET:, column("db", "latency")] += 5.0
    rows[ONSET:, column("cart", "latency")] += 3.0
    rows[ONSET:, column("web", "latency")] += 2.0
    found = rank_causes(rows, METRICS, ONSET, quiet, symptom=SYMPTOM, calls=CALLS)
    assert [cause.node for cause in found][:2] == ["db", "cart"]
    assert found[0].evidence[0].metric == Metric("db", "latency")
    assert "latency" in found[0].reason
    assert "times its usual change" in found[0].reason


def test_a_level_that_changed_before_the_incident_is_no_cause(rows: np.ndarray, quiet: np.ndarray) -> None:
    rows[:, column("cache", "latency")] += 50.0  # since long before
    rows[ONSET:, column("db", "latency")] += 2.0
    assert rank_causes(rows, METRICS, ONSET, quiet)[0].node == "db"


def test_the_symptom_is_the_last_of_what_it_depends_on(rows: np.ndarray, quiet: np.ndarray) -> None:
    rows[ONSET:, column("web", "latency")] += 9.0
    rows[ONSET:, column("cart", "latency")] += 3.0
    found = rank_causes(rows, METRICS, ONSET, quiet, symptom=SYMPTOM, calls=CALLS)
    assert found[0].node == "cart"
    assert found[-1].node == "web"


def test_a_node_that_nobody_calls_is_no_cause(rows: np.ndarray, quiet: np.ndarray) -> None:
    rows[ONSET:, column("db", "latency")] += 9.0
    rows[ONSET:, column("web", "latency")] += 3.0
    found = rank_causes(rows, METRICS, ONSET, quiet, symptom=SYMPTOM, calls={"web": ["cart"]})
    assert {cause.node for cause in found} == {"web", "cart"}


def test_an_endpoint_seen_by_callers_alone_is_evidence_and_no_cause(rows: np.ndarray, quiet: np.ndarray) -> None:
    rows[ONSET:, [column("cache", "latency"), column("web", "latency")]] += 9.0
    found = rank_causes(rows, METRICS, ONSET, quiet, symptom=SYMPTOM, calls=CALLS, callers_view={"cache"})
    assert "cache" not in {cause.node for cause in found}


def test_it_abstains_where_the_symptom_is_usual(rows: np.ndarray, quiet: np.ndarray) -> None:
    rows[ONSET:, column("db", "latency")] += 9.0
    assert rank_causes(rows, METRICS, ONSET, quiet, symptom=SYMPTOM, calls=CALLS) == []


def test_it_abstains_on_most_quiet_stretches() -> None:
    quiet = np.random.default_rng(4).normal(1.0, 0.1, (2800, len(METRICS)))
    stretches = [quiet[i : i + 14] for i in range(1400, 2786, 14)]
    silent = [not rank_causes(part, METRICS, ONSET, quiet[:1400], symptom=SYMPTOM) for part in stretches]
    assert np.mean(silent) >= 0.9


def test_gaps_and_constants_are_no_departure(rows: np.ndarray, quiet: np.ndarray) -> None:
    quiet[:, column("cart", "errors")] = rows[:, column("cart", "errors")] = 0.0
    rows[:, column("cache", "errors")] = np.nan
    found = departures(rows, ONSET, quiet)
    assert np.isnan(found.size[column("cart", "errors")])
    assert np.isnan(found.size[column("cache", "errors")])


@pytest.mark.parametrize("onset", [0, 14, -1])
def test_an_onset_outside_the_rows_is_an_error(rows: np.ndarray, quiet: np.ndarray, onset: int) -> None:
    with pytest.raises(ValueError, match="1 to 13"):
        departures(rows, onset, quiet)


@given(scale=st.floats(1e-3, 1e6), shift=st.floats(-1e3, 1e3))
def test_units_of_measurement_do_not_matter(scale: float, shift: float) -> None:
    rng = np.random.default_rng(3)
    quiet, rows = rng.normal(size=(100, 1)), rng.normal(size=(12, 1))
    centered = departures(rows, 6, quiet).size
    scaled = departures(rows * scale, 6, quiet * scale).size
    assert scaled == pytest.approx(centered)
    moved = departures(rows + shift, 6, quiet + shift)
    assert moved.size[0] <= centered[0] * (1 + 1e-6)  # the least unit grows with the level, never shrinks
