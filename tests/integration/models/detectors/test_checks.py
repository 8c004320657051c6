"""The check suite over every registered detector; what a class opts out of must fail."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from foreshock_models.checks import DetectorUnderCheck, check_detector, detector_checks
from foreshock_models.checks.suite import applicable
from foreshock_models.detectors import DETECTORS, IForest
from foreshock_models.detectors.registry import built_in

CASES = [
    (name, case, n)
    for name in [*DETECTORS, "pyod"]
    for case in range(len(built_in(name).check_cases()))
    for n in (1, 3)
]


@cache
def subject_of(name: str, case: int, n_features: int) -> DetectorUnderCheck:
    return DetectorUnderCheck(built_in(name).check_cases()[case], n_features)


@pytest.mark.parametrize(
    "check", detector_checks().values(), ids=lambda check: check.__name__.removeprefix("check_")
)
@pytest.mark.parametrize(("name", "case", "n_features"), CASES)
def test_detector(
    name: str,
    case: int,
    n_features: int,
    check: Callable[[DetectorUnderCheck], None],
    request: pytest.FixtureRequest,
) -> None:
    subject = subject_of(name, case, n_features)
    reason = applicable(check, subject.detector.skipped_checks(), str(n_features))
    if reason is not None:
        request.applymarker(pytest.mark.xfail(strict=True, reason=reason))
    check(subject)


class Chance(IForest):
    """Scores that say nothing."""

    name = "iforest"

    def _fit_scorer(self, panel):  # type: ignore[no-untyped-def]
        scorer = super()._fit_scorer(panel)
        scorer.weight = -scorer.weight
        return scorer


def test_a_detector_that_fails_is_named_with_the_check_and_what_it_asks_for() -> None:
    with pytest.raises(AssertionError, match=r"check_can_be_found_by_its_name\[3\]: Its name leads to its class"):
        check_detector(Chance(n_trees=5), n_features=[3])


def test_a_detector_that_is_not_installed_is_told_to_declare_an_entry_point() -> None:
    class Mine(IForest):
        name = "mine"

    with pytest.raises(AssertionError, match=r"declare the entry point 'mine' of the group 'foreshock\.detectors'"):
        check_detector(Mine(n_trees=5))


def test_a_detector_that_ranks_anomalies_last_does_not_beat_chance() -> None:
    check = detector_checks()["check_beats_chance"]
    with pytest.raises(AssertionError):
        check(DetectorUnderCheck(Chance(n_trees=5), 3))
