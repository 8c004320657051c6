"""The check suite over every registered detector, and over one from a plugin."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.models.detectors.checks import CHECKS, Make

from foreshock_models.detectors import DETECTORS, Ensemble, make

SMALL: dict[str, dict[str, Any]] = {
    "iforest": {"n_trees": 20},
    "lstm": {"epochs": 6, "max_windows": 2000, "hidden": 24},
    "vae": {"epochs": 20, "max_windows": 2000},
    "subspace": {"window": 16},
    "discord": {"window": 16},
    "pyod:ECOD": {},
    "pyod:KNN": {},
}
CASES = [
    *((name, 3) for name in SMALL),
    ("subspace", 1),
    ("discord", 1),
    ("iforest", 1),
    ("ensemble", 3),
    ("per_entity", 3),
    ("per_entity", 1),
]
MISSED = {
    ("pyod:ECOD", 3, "check_alert_line_separates"): "of one feature among three, ranks say hardly more (12.8) than "
    "of some training row (12.6): at 1 alert a week that is .88 and .96",
}
"""Checks that do not hold, by detector and number of features, and why."""


@cache
def maker(name: str) -> Make:
    if name == "ensemble":
        return lambda: Ensemble({"iforest": make("iforest", n_trees=20), "subspace": make("subspace", window=8)})
    if name == "per_entity":
        return lambda: make("subspace", window=16, per_entity=True)
    return lambda: make(name, **SMALL[name])


def test_every_registered_detector_is_checked() -> None:
    assert {name for name, _ in CASES} >= set(DETECTORS)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.parametrize(("name", "n_features"), CASES, ids=lambda value: str(value))
def test_detector(name: str, n_features: int, check: Any, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    missed = MISSED.get((name, n_features, check.__name__))
    if missed is not None:
        request.applymarker(pytest.mark.xfail(strict=True, reason=missed))
    check(maker(name), n_features, tmp_path)
