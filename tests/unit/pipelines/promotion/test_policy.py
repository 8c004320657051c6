"""Promotion policies: the gain that they require, and what becomes the champion."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshock_models.errors import ConfigError
from foreshock_pipelines.promotion.policy import (
    ALWAYS,
    COMPARE_ONLY,
    IF_BETTER,
    IF_NOT_WORSE,
    NEVER,
    POLICIES,
    Criterion,
    find_policy,
)

SHARE = st.floats(0, 1)


@pytest.mark.parametrize(
    ("policy", "won", "lost", "not_compared"),
    [
        (ALWAYS, True, False, True),
        (IF_NOT_WORSE, True, False, True),
        (IF_BETTER, True, False, True),
        (COMPARE_ONLY, False, False, False),
        (NEVER, False, False, False),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_what_becomes_the_champion(policy: object, won: bool, lost: bool, not_compared: bool) -> None:
    accepts = policy.accepts  # type: ignore[attr-defined]
    assert (accepts(True), accepts(False), accepts(None)) == (won, lost, not_compared)


@given(champion=SHARE, base_rate=SHARE, error=st.floats(0, 0.5))
def test_what_must_be_better_needs_a_gain_beyond_chance(champion: float, base_rate: float, error: float) -> None:
    assert Criterion(0.005).required_gain(champion, base_rate, error) >= max(0.005, 2 * error)


@given(champion=SHARE, base_rate=SHARE, error=st.floats(0, 0.5))
def test_what_may_be_worse_keeps_most_of_the_lead_over_chance(
    champion: float, base_rate: float, error: float
) -> None:
    required = Criterion(-0.02).required_gain(champion, base_rate, error)
    assert -0.02 <= required <= 0
    if champion > base_rate:
        assert champion + required > base_rate  # random scores do not suffice


def test_policies_are_found_by_name_and_the_nearest_one_is_said() -> None:
    assert {find_policy(name) for name in POLICIES} == set(POLICIES.values())
    with pytest.raises(ConfigError, match="if_better"):
        find_policy("if_beter")
