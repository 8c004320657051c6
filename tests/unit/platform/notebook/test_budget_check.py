from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

import foreshock


@pytest.fixture(scope="module")
def checked():
    windows, incidents = foreshock.demo_fleet(hosts=3, days=1, incidents=2)
    since = windows.end - timedelta(hours=8)
    model = foreshock.IForest(n_trees=10).fit(windows.between(end=since))
    before = model.score(windows, since=since).score
    table = foreshock.check_budget(model, windows, ["1 per week", "4 per hour"], since=since, events=incidents)
    return model, windows, since, before, table


def test_a_larger_budget_gives_no_fewer_alerts_and_what_came_lies_in_its_interval(checked) -> None:
    table = checked[-1]
    assert table["asked"].tolist() == pytest.approx([1.0, 4 * 24 * 7])
    assert table["got"].is_monotonic_increasing
    assert (table["lower"] <= table["got"]).all()
    assert (table["got"] <= table["upper"]).all()


def test_the_detector_is_left_as_it_was(checked) -> None:
    model, windows, since, before, _ = checked
    assert np.array_equal(model.score(windows, since=since).score, before)


def test_only_time_with_samples_counts(checked) -> None:
    table = checked[-1]
    # the third host has sent nothing for long: two hosts, 8 h
    assert table["entity_weeks"].iloc[0] == pytest.approx(2 * 8 / 168, rel=0.05)
