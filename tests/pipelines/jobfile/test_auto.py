"""``detectors: auto`` in a job file."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from foreshock_pipelines.jobfile import Job


def job(detectors: Any) -> Job:
    document = {"name": "j", "source": {"parquet": "x"}, "queries": {"cpu": "up"}, "entity": ["instance"]}
    return Job.model_validate({**document, "detectors": detectors})


def test_auto_takes_a_time_and_a_number_of_trials() -> None:
    auto = job({"auto": {"time": "20m", "trials": 3}}).auto
    assert auto is not None
    assert (auto.time, auto.trials) == (timedelta(minutes=20), 3)
    assert job("auto").auto is not None
    assert job("iforest").auto is None


def test_before_anything_is_picked_auto_means_the_defaults() -> None:
    assert job("auto").detector_params == job([]).detector_params


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
