"""The short form of ``make test-faults``: everything is killed once."""

from __future__ import annotations

import time

import pytest
from tests.faults.__main__ import run
from tests.faults.kills import FAULTS
from tests.faults.stage import Stage

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.prometheus, pytest.mark.postgres]


@pytest.mark.timeout(900)
def test_whatever_is_killed_every_alert_arrives_and_every_row_is_scored_once() -> None:
    with Stage(seed=1, hosts=2 * len(FAULTS)).running() as stage:
        tallies = run(stage, list(FAULTS), times=1, seed=1, deadline=time.monotonic() + 600)
    assert [tally.name for tally in tallies] == list(FAULTS)
    for tally in tallies:
        (one,) = tally.rounds
        assert not one.problem, f"{tally.name}: {one.problem}"
        assert (one.received, one.missed) == (one.expected, 0), tally.name
