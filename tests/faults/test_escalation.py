"""One round of each fault of escalation; ``make test-faults`` plays twenty."""

from __future__ import annotations

import pytest
from tests.faults.escalation import FAULTS, Tally, play, stage


@pytest.mark.slow
@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_nobody_is_told_twice_for_one_step_and_nobody_is_forgotten(fault: str) -> None:
    tally = Tally(fault)
    with stage(seed=2) as made:
        play(made, fault, 0, tally)
    assert (tally.forgotten, tally.told_twice) == (0, 0)
