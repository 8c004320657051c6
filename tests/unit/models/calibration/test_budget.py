"""Budgets per entity and for a whole job, and the rule of an alert."""

from __future__ import annotations

import numpy as np
import pytest

from foreshock_models.calibration.budget import Budget
from foreshock_models.calibration.calibrator import Calibrator
from foreshock_models.errors import ConfigError
from foreshock_models.panel import Panel
from foreshock_models.policy import Policy


@pytest.mark.parametrize("votes", [(0, 5), (6, 5), (3, 33)])
def test_an_impossible_rule_is_refused_before_a_kernel_sees_it(votes: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="1 <= N <= M <= 32"):
        Budget.parse("1 per week", votes)
    with pytest.raises(ConfigError, match="1 <= N <= M <= 32"):
        Policy(*votes)


def test_a_budget_for_all_is_shared_by_the_entities() -> None:
    budget = Budget.parse("3 per day for all")
    assert str(budget) == "3 per day for all"
    assert budget.for_all
    assert budget.per_entity(12) == Budget.parse("0.25 per day")
    assert Budget.parse("1 per week").per_entity(12) == Budget.parse("1 per week")


@pytest.mark.parametrize("text", ["3 per day for some", "3 per day all", "for all"])
def test_what_is_no_budget_for_all_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="for all"):
        Budget.parse(text)


def test_a_line_for_all_is_that_of_the_share_and_outlives_saving() -> None:
    rng = np.random.default_rng(0)
    n, entities = 2000, ("a", "b", "c", "d")
    panel = Panel.of(np.zeros((n * 4, 1)), entities=np.repeat(entities, n))
    raw = rng.gamma(2.0, 0.5, n * 4)
    shared, own = (Calibrator(Budget.parse(text)).fit(raw, panel) for text in ("4 per day for all", "1 per day"))
    values, arrays = shared.to_arrays()
    again = Calibrator.from_arrays(values, arrays)
    for calibrator in (shared, again):
        np.testing.assert_array_equal(calibrator.apply(raw, panel).score, own.apply(raw, panel).score)
    assert again.budget == Budget.parse("4 per day for all")
