"""Search spaces: plain data beside each detector."""

from __future__ import annotations

from copy import copy

import numpy as np
import pytest

from foreshock_models.detectors import DETECTORS, LSTM, Choice, Detector, Float, Int, around, make, search_space

TUNABLE = sorted(set(DETECTORS) - {"ensemble", "per_entity"})


@pytest.mark.parametrize("n_features", [1, 6, 38])
@pytest.mark.parametrize("name", TUNABLE)
def test_a_space_names_parameters_of_its_detector_and_holds_the_defaults(name: str, n_features: int) -> None:
    space = search_space(name, n_features)
    assert space or name == "light"  # it has nothing that a search could judge
    make(
        name, **{parameter: values.default for parameter, values in space.items()}
    )  # refuses what it does not know
    for values in space.values():
        if isinstance(values, Choice):
            assert values.default in values.options
        else:
            assert values.low <= values.default <= values.high


@pytest.mark.parametrize("name", TUNABLE)
def test_the_defaults_of_a_space_are_those_of_the_detector(name: str) -> None:
    x = np.random.default_rng(0).normal(size=(300, 3))
    params = {parameter: values.default for parameter, values in search_space(name, 3).items()}
    quick = {"epochs": 1} if "epochs" in make(name).get_params() else {}
    scores = [make(name, **quick, **given).fit(x).decision_function(x) for given in ({}, params)]
    np.testing.assert_array_equal(*scores)


def test_what_pyod_offers_has_no_space() -> None:
    assert search_space("pyod:ECOD", 3) == {}


def test_values_of_ones_own_become_defaults_and_widen_the_range() -> None:
    space = {"a": Int(1, 4, 2), "b": Float(0.1, 1.0, 0.5), "c": Choice((1, 2), 1)}
    found = around(space, {"a": 9, "c": 3, "other": 1, "b": None})
    assert found == {"a": Int(1, 9, 9), "b": Float(0.1, 1.0, 0.5), "c": Choice((1, 2, 3), 3)}


def test_a_network_can_score_after_each_epoch_and_training_goes_on_unchanged() -> None:
    x = np.random.default_rng(0).normal(size=(400, 2))
    watched, seen = LSTM(epochs=3, patience=9), []

    def look(epoch: int, settle: object) -> None:
        detector: Detector = settle()  # type: ignore[operator]
        seen.append((epoch, detector.decision_function(x)))

    watched.on_epoch = look
    watched.fit(x)
    assert [epoch for epoch, _ in seen] == [1, 2, 3]
    assert not np.array_equal(seen[0][1], seen[2][1])
    plain = LSTM(epochs=3, patience=9).fit(x)
    np.testing.assert_array_equal(watched.decision_function(x), plain.decision_function(x))


def test_a_network_as_it_stands_after_an_epoch_can_be_calibrated_like_one_that_ended_there() -> None:
    x = np.random.default_rng(0).normal(size=(400, 2))
    longer, halves = LSTM(epochs=2, patience=9), []
    longer.on_epoch = lambda epoch, settle: halves.append(copy(settle()).calibrate(x))
    longer.fit(x)
    short = LSTM(epochs=1).fit(x)
    np.testing.assert_array_equal(halves[0].score(x).score, short.score(x).score)
    assert not np.array_equal(halves[0].score(x).score, halves[1].score(x).score)
