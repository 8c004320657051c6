"""Which detectors a job file asks for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from foreshock_models.detectors import VAE, PerEntity, check_params, make
from foreshock_models.errors import ConfigError
from foreshock_pipelines.jobfile import Job


def job(detectors: Any, **more: Any) -> Job:
    document = {"name": "j", "source": {"parquet": "x"}, "queries": {"cpu": "up"}, "entity": ["instance"]}
    return Job.model_validate({**document, "detectors": detectors, **more})


def test_auto_takes_a_time_and_a_number_of_trials() -> None:
    auto = job({"auto": {"time": "20m", "trials": 3}}).auto
    assert auto is not None
    assert (auto.time, auto.trials) == (timedelta(minutes=20), 3)
    assert job("auto").auto is not None
    assert job("iforest").auto is None


def test_before_anything_is_picked_auto_means_the_defaults() -> None:
    assert job("auto").detector_params == job([]).detector_params


def test_per_entity_holds_for_all_detectors_that_do_not_say_otherwise() -> None:
    one = job({"iforest": {"n_trees": 5}, "vae": {"per_entity": False}}, per_entity=True)
    made = {name: make(name, **params) for name, params in one.detector_params.items()}
    assert isinstance(made["iforest"], PerEntity)
    assert made["iforest"].params == {"n_trees": 5}
    assert isinstance(made["vae"], VAE)
    assert one.asked != job(one.detectors).asked, "what was tuned for shared models does not hold"
    assert set(job([], per_entity=True).detector_params) == {"iforest", "covariance"}


@pytest.mark.parametrize("params", [{"per_entity": "yes"}, {"per_entity": True, "n_tree": 5}])
def test_a_wrong_parameter_of_a_model_per_entity_is_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"true or false|did you mean 'n_trees'"):
        check_params("iforest", params)


def test_auto_with_per_entity_is_refused() -> None:
    with pytest.raises(ValidationError, match="detectors that are named"):
        job("auto", per_entity=True)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["auto", "iforest"], "write either auto or their names"),
        ({"auto": {"tme": "1m"}}, "Extra inputs are not permitted"),
        ({"auto": {"trials": 0}}, "greater than or equal to 1"),
    ],
)
def test_what_auto_cannot_mean_is_refused(wrong: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        job(wrong)
