from __future__ import annotations

import numpy as np
import pytest

from foreshock_models.panel import Panel
from foreshock_models.policy import EntityState, Policy, Rule, severity

MINUTE = 60.0


def walk(scores: list[float], policy: Policy, missing: tuple[int, ...] = ()) -> list[EntityState]:
    values = np.ones((len(scores), 1))
    values[list(missing)] = np.nan
    panel = Panel.of(values, step=MINUTE)
    states = policy.apply(panel, np.array(scores), np.ones(len(scores), bool)).entity_state
    return [EntityState(s) for s in states]


def test_n_of_m_rows_open_an_alert() -> None:
    policy = Policy(needed=2, of=3, resolve_after=180)
    assert walk([1.1, 0.2, 0.1, 1.2, 0.1, 1.3], policy).count(EntityState.OPENED) == 1
    assert EntityState.OPENED not in walk([1.1, 0.2, 0.1, 1.2, 0.1, 0.3], policy)


def test_an_alert_stays_open_while_scores_hover_just_below_the_line() -> None:
    policy = Policy(needed=1, of=1, resolve_after=120, keep=0.9)
    states = walk([1.2, 0.95, 0.95, 0.95, 1.1, 0.5, 0.5, 0.5], policy)
    assert states.count(EntityState.OPENED) == 1
    assert states[-2] == EntityState.RESOLVED


def test_rows_without_samples_neither_open_nor_resolve() -> None:
    policy = Policy(needed=2, of=2, resolve_after=120)
    states = walk([1.5, 1.5, 0.0, 0.0, 0.0, 0.0, 1.5], policy, missing=(2, 3, 4, 5))
    assert states[1] == EntityState.OPENED
    assert EntityState.RESOLVED not in states


def test_a_rule_forbids_small_and_wrongly_directed_deviations() -> None:
    up = Rule("up", 0.05)
    observed, usual = np.array([0.5, 0.52, 0.6, 0.3, np.nan]), np.full(5, 0.5)
    assert up.permits(observed, usual).tolist() == [False, False, True, False, True]
    relative = Rule("both", 0.1, relative=True)
    assert relative.permits(np.array([104.0, 120.0, 80.0]), np.full(3, 100.0)).tolist() == [False, True, True]


def test_a_row_may_alert_if_one_of_its_causes_may() -> None:
    policy = Policy(rules={"disk": Rule("up")})
    attributions = np.array([[0.9, 0.05], [0.5, 0.5]])
    observed, usual = np.array([[1.0, 3.0], [1.0, 3.0]]), np.array([[2.0, 1.0], [2.0, 1.0]])
    assert policy.permitted(attributions, observed, usual, ("disk", "cpu")).tolist() == [False, True]


@pytest.mark.parametrize(
    ("peak", "seconds", "is_"), [(1.2, 60, "warning"), (2.0, 0, "critical"), (1.1, 3600, "critical")]
)
def test_severity_follows_from_score_and_duration(peak: float, seconds: float, is_: str) -> None:
    assert severity(peak, seconds) == is_


def test_walking_in_parts_is_walking_at_once() -> None:
    rng = np.random.default_rng(0)
    scores = rng.gamma(2, 0.35, 400)
    panel = Panel.of(np.ones((400, 1)), step=MINUTE)
    policy = Policy()
    whole = policy.apply(panel, scores, np.ones(400, bool)).entity_state
    parts, state = [], None
    for a, b in ((0, 130), (130, 131), (131, 400)):
        part = policy.apply(panel.rows(a, b), scores[a:b], np.ones(b - a, bool), state)
        parts.append(part.entity_state)
        state = part.state
    np.testing.assert_array_equal(np.concatenate(parts), whole)
