"""A score tells of now: it falls when the values are back, live as in one go."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from foreshock_models.calibration.budget import Budget
from foreshock_models.detectors import Detector, IForest, Scores, Subspace
from foreshock_models.panel import Panel
from foreshock_models.policy import EntityState, Policy
from foreshock_models.state import State

DAY = 1440
MINUTE = 60_000
EVENT = slice(5 * DAY + 600, 5 * DAY + 640)
AGAIN = slice(5 * DAY + 700, 5 * DAY + 720)


def metrics(n_features: int, *, disturbed: bool) -> Panel:
    """Six days of a daily pattern with noise, disturbed twice on the last one."""
    rng = np.random.default_rng(0)
    hours = np.arange(6 * DAY) / 60
    values = 10 + 3 * np.sin(2 * np.pi * hours / 24)[:, None] + rng.normal(0, 0.3, (6 * DAY, n_features))
    if disturbed:
        values[EVENT, 0] += 8
        values[AGAIN, 0] -= 6
    return Panel.of(values, features=[f"f{i}" for i in range(n_features)])


def fitted(name: str) -> tuple[Detector, int]:
    if name == "sub-sequences":
        detector, n_features = Subspace(window=200).fit(learnt(1), budget=Budget.parse("1 per day")), 1
    else:
        detector, n_features = IForest(n_trees=20).fit(learnt(4), budget=Budget.parse("1 per day")), 4
    return detector, n_features


def learnt(n_features: int) -> Panel:
    return metrics(n_features, disturbed=False).rows(0, 5 * DAY)


@pytest.fixture(scope="module", params=["windows", "sub-sequences"])
def scored(request: pytest.FixtureRequest) -> tuple[Detector, Panel, Scores]:
    detector, n_features = fitted(request.param)
    panel = metrics(n_features, disturbed=True)
    return detector, panel, detector.score(panel, since=5 * DAY * MINUTE)


def day(scores: Scores, rows: slice) -> NDArray[np.float64]:
    """Scores of some rows of the last day."""
    return scores.score[rows.start - 5 * DAY : rows.stop - 5 * DAY]


def test_both_events_are_found(scored: tuple[Detector, Panel, Scores]) -> None:
    for event in (EVENT, AGAIN):
        assert (day(scored[2], event) >= 1.0).sum() >= 15


def test_the_score_falls_within_two_rows_of_the_values_being_back(scored: tuple[Detector, Panel, Scores]) -> None:
    detector, panel, scores = scored
    raw = detector.decision_function(panel)
    for event in (EVENT, AGAIN):
        after = day(scores, slice(event.stop + 2, event.stop + 40))
        assert (after < 1.0).mean() > 0.9  # a row in twenty is out of its usual band
        assert np.median(after) < 0.5
        assert raw[event.stop + 2] > np.quantile(raw[: 5 * DAY], 0.99)  # its window still holds the event


def test_an_alert_is_resolved_soon_after_the_values_are_back(scored: tuple[Detector, Panel, Scores]) -> None:
    scores = scored[2]
    state = Policy().apply(scores.panel, scores.score, np.ones(len(scores.score), np.bool_)).entity_state
    begins = np.flatnonzero(state == EntityState.OPENED) + 5 * DAY
    ends = np.flatnonzero(state == EntityState.RESOLVED) + 5 * DAY
    for event in (EVENT, AGAIN):
        assert ((ends >= event.stop) & (ends <= event.stop + 30)).any()  # a row in twenty is out of its usual band
        assert not ((begins >= event.stop) & (begins < event.stop + 40)).any()


def test_later_rows_are_not_judged_by_those_of_an_alert_that_ended(scored: tuple[Detector, Panel, Scores]) -> None:
    detector, panel, scores = scored
    if detector.context < 100:
        pytest.skip("the alert ends as late as the event leaves the windows")
    calm = detector.decision_function(metrics(panel.n_features, disturbed=False))
    disturbed = detector.decision_function(panel)
    rows = slice(EVENT.stop + 15, AGAIN.start)  # the alert ended; the windows still hold it
    of_day = slice(rows.start - 5 * DAY, rows.stop - 5 * DAY)
    left, whole = (np.abs(raw - calm[rows]).mean() for raw in (scores.raw[of_day], disturbed[rows]))
    assert left < 0.3 * whole


def test_row_by_row_gives_what_one_call_gives(scored: tuple[Detector, Panel, Scores]) -> None:
    detector, panel, whole = scored
    first, last = EVENT.start - 20, AGAIN.stop + 60
    state: State | None = None
    found = []
    for stop in [first, *range(first + 1, last + 1)]:
        begin = 5 * DAY if stop == first else stop - 1
        part = panel.rows(begin - detector.context, stop)
        done = detector.score(part, since=begin * MINUTE, state=state)
        state = State.from_bytes(done.state.to_bytes())
        found.append(done.score)
    np.testing.assert_allclose(np.concatenate(found), day(whole, slice(5 * DAY, last)), rtol=1e-9, atol=1e-12)


def test_a_state_of_an_earlier_version_goes_on() -> None:
    detector, n_features = fitted("windows")
    panel = metrics(n_features, disturbed=True)
    table = detector.state_.arrays["calibration"]
    older = State(
        detector.state_.entities, {"calibration": table[:, :45], "hours": detector.state_.arrays["hours"]}
    )
    scores = detector.score(panel, since=5 * DAY * MINUTE, state=older)
    assert (day(scores, EVENT) >= 1.0).sum() >= 15
    assert State.merge([older, scores.state]).arrays["calibration"].shape == table.shape
    new = State(("b",), older.arrays)
    assert State.merge([new, scores.state]).arrays["calibration"].shape == (2, table.shape[1])
