from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from typing import Any

import numpy as np
import pytest

from foreshock_models.detectors import IForest, default_detectors, find, make, registry
from foreshock_models.errors import ConfigError, DataError, NotEnoughData, NotFitted


def test_a_single_feature_gets_no_networks() -> None:
    assert default_detectors(1) == ("iforest", "covariance")
    assert default_detectors(5) == ("iforest", "lstm", "vae", "covariance")


@pytest.mark.parametrize(
    ("name", "params", "says"),
    [
        ("ifrest", {}, "did you mean 'iforest'"),
        ("pyod:ECODE", {}, "did you mean 'ecod'"),
        ("lstm", {"hiden": 3}, "did you mean 'hidden'"),
        ("pyod:KNN", {"neighbors": 3}, "has no parameter 'neighbors'"),
    ],
)
def test_a_wrong_name_gives_the_nearest_one(name: str, params: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        make(name, **params)


def test_a_plugin_is_found_by_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("mine", "foreshock_models.detectors.iforest:IForest", registry.ENTRY_POINTS)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == registry.ENTRY_POINTS else [])
    assert find("mine") is IForest


def test_torch_is_loaded_only_to_train_a_network() -> None:
    code = (
        "import sys; from foreshock_models.detectors import check_params, make; check_params('lstm', {});"
        "net = make('lstm'); assert 'torch' not in sys.modules; net._architecture(2, 17).build();"
        "assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_cannot_be_fitted_says_why() -> None:
    with pytest.raises(NotFitted, match=r"call fit\(windows\) first"):
        IForest().score(np.zeros((100, 2)))
    with pytest.raises(NotEnoughData, match="10 rows with a sample are too few"):
        IForest().fit(np.zeros((10, 2)))
    with pytest.raises(DataError, match="infinite"):
        IForest().fit(np.full((100, 2), np.inf))
    with pytest.raises(DataError, match="must be numbers"):
        IForest().fit([["a", "b"]] * 100)


def test_rows_without_a_feature_of_the_model_name_it() -> None:
    import pandas as pd

    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(300, 2)), columns=["cpu", "memory"])
    fitted = IForest(n_trees=5).fit(frame)
    with pytest.raises(DataError, match="feature 'memory' is missing"):
        fitted.score(frame[["cpu"]])
    swapped = fitted.score(frame[["memory", "cpu"]]).score
    np.testing.assert_array_equal(swapped, fitted.score(frame).score)
