"""Laws of calibration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from foreshock_models.calibration.budget import Budget
from foreshock_models.calibration.calibrator import Calibrator
from foreshock_models.errors import ArtifactError, ConfigError
from foreshock_models.panel import Panel
from foreshock_models.state import State

DAY = 1440


def panel_of(n: int, entities: tuple[str, ...] = ("a",)) -> Panel:
    rows = np.zeros((n * len(entities), 1))
    return Panel.of(rows, entities=np.repeat(entities, n), step=60.0)


def usual(n: int, seed: int = 0) -> NDArray[np.float64]:
    """Raw scores as detectors give them: skewed, correlated in time."""
    rng = np.random.default_rng(seed)
    noise = rng.gamma(2.0, 0.1, n + 10)
    return np.convolve(noise, np.ones(6) / 6, mode="valid")[:n]


def fitted(budget: str = "1 per day") -> Calibrator:
    return Calibrator(Budget.parse(budget)).fit(usual(3 * DAY), panel_of(3 * DAY))


raw_scores = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=60)


@given(raw_scores)
@settings(max_examples=60, deadline=None)
def test_a_higher_raw_score_never_gives_a_lower_score(values: list[float]) -> None:
    ordered = np.sort(np.array(values))
    score = fitted_once.apply_as_trained(ordered, panel_of(len(ordered)))
    assert (np.diff(score) >= -1e-9).all()


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=80))
@settings(max_examples=60, deadline=None)
def test_scores_are_finite_whatever_the_raw_scores_are(values: list[float]) -> None:
    done = fitted_once.apply(np.array(values), panel_of(len(values)))
    assert np.isfinite(done.score).all()
    assert np.isfinite(done.state.arrays["calibration"]).all()


@given(st.floats(1e-6, 1e6))
@settings(max_examples=20, deadline=None)
def test_the_scale_of_the_raw_score_does_not_matter(scale: float) -> None:
    train, test = usual(DAY), usual(300, seed=1)
    plain = Calibrator().fit(train, panel_of(DAY)).apply(test, panel_of(300)).score
    scaled = Calibrator().fit(train * scale, panel_of(DAY)).apply(test * scale, panel_of(300)).score
    np.testing.assert_allclose(plain, scaled, rtol=1e-6, atol=1e-9)


@given(st.integers(1, 499))
@settings(max_examples=20, deadline=None)
def test_consecutive_calls_score_as_one_does(cut: int) -> None:
    raw = usual(500, seed=2)
    panel = panel_of(500)
    whole = fitted_once.apply(raw, panel)
    first = fitted_once.apply(raw[:cut], panel.rows(0, cut))
    state = State.from_bytes(first.state.to_bytes())  # as the store keeps it
    second = fitted_once.apply(raw[cut:], panel.rows(cut, 500), state)
    np.testing.assert_array_equal(np.concatenate([first.score, second.score]), whole.score)
    for name, array in whole.state.arrays.items():
        np.testing.assert_array_equal(second.state.arrays[name], array)


def alerts_of(score: NDArray[np.float64], needed: int = 3, of: int = 5, quiet: int = 10) -> int:
    """Alerts by N of M; runs closer than `quiet` rows are one."""
    votes = np.convolve(score >= 1.0, np.ones(of), mode="full")[: len(score)] >= needed
    at = np.flatnonzero(votes)
    return int((np.diff(at) > quiet).sum() + 1) if len(at) else 0


@pytest.mark.parametrize("drift", [0.0, 0.004], ids=["steady", "drifting"])
def test_the_budget_holds_on_rows_never_seen(drift: float) -> None:
    days = 40
    raw = usual(days * DAY, seed=3) * (1 + drift * np.arange(days * DAY) / DAY)
    score = fitted("1 per day").apply(raw, panel_of(days * DAY)).score
    assert days / 5 <= alerts_of(score) <= days * 2.5


def test_a_smaller_budget_gives_fewer_alerts() -> None:
    raw = usual(20 * DAY, seed=4)
    counts = [
        alerts_of(fitted(b).apply(raw, panel_of(len(raw))).score)
        for b in ("10 per day", "1 per day", "1 per month")
    ]
    assert counts[0] > counts[1] > counts[2]


def test_a_level_that_stays_becomes_the_new_normal_and_is_said_once() -> None:
    raw = usual(6 * DAY, seed=5)
    raw[DAY:] += 3.0
    done = fitted_once.apply(raw, panel_of(len(raw)))
    assert len(done.new_normal) == 1
    entity, at = done.new_normal[0]
    assert entity == "a"
    assert DAY <= at / 60_000 <= 3 * DAY
    assert (done.score[4 * DAY :] >= 1.0).mean() < 0.01


def test_tiny_deviations_of_a_nearly_constant_score_do_not_alert() -> None:
    rng = np.random.default_rng(6)
    still = 1.0 + rng.normal(0, 1e-12, 3 * DAY)
    done = Calibrator().fit(still[:DAY], panel_of(DAY)).apply(still[DAY:], panel_of(2 * DAY))
    assert (done.score < 1.0).all()


def test_an_unknown_entity_warms_up() -> None:
    done = fitted_once.apply(usual(400, seed=7), panel_of(400, ("new",)))
    assert done.warming[:200].all()
    assert not done.warming[200:].any()


def test_a_damaged_state_is_refused() -> None:
    data = fitted_once.state.to_bytes()
    with pytest.raises(ArtifactError, match="damaged"):
        State.from_bytes(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("text", "says"),
    [("often", "write for example"), ("1 per fortnight", "unknown unit"), ("0 per day", "must be > 0")],
)
def test_a_wrong_budget_says_what_is_allowed(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Budget.parse(text)


fitted_once = fitted()
