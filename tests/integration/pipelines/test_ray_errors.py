"""Errors of Ray tasks, as whoever waits for them sees them."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import ray
from tests.fixtures.prometheus import make_job

from foreshock_models.errors import HttpError, JobError, NoSamples, QueryError
from foreshock_pipelines.datasets.ray_dataset import collect_windows, ray_dataset
from foreshock_pipelines.datasets.windows import Windows
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.ray_errors import local_error, ray_errors

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]


def run(work: Any, *args: Any) -> Any:
    return ray.get(ray.remote(num_cpus=0, max_retries=0)(work).remote(*args))


def fails(error: Exception) -> None:
    raise error


def waits_for_another(error: Exception) -> None:
    run(fails, error)


def fails_under(error: Exception) -> None:
    try:
        raise ValueError("deep inside")
    except ValueError as exc:
        raise error from exc


def dies() -> None:
    os._exit(1)


@pytest.mark.parametrize("work", [fails, fails_under, waits_for_another])
def test_an_error_of_a_worker_is_raised_as_it_was_raised_there(work: Any) -> None:
    with pytest.raises(QueryError) as caught, ray_errors("reading"):
        run(work, NoSamples("cpu: no series"))
    assert type(caught.value) is NoSamples
    assert str(caught.value) == "cpu: no series"


def test_what_an_error_knows_comes_with_it() -> None:
    with pytest.raises(HttpError) as caught, ray_errors("asking"):
        run(fails, HttpError("HTTP 503: busy", status=503, retriable=True))
    assert (caught.value.status, caught.value.retriable) == (503, True)


@pytest.mark.parametrize(
    ("work", "args", "text"),
    [
        (fails, (ValueError("one\ntwo"),), "the fit failed: ValueError: one"),
        (fails, (RuntimeError(),), "the fit failed: RuntimeError"),
        (fails, (ValueError("a" * 10_000),), "the fit failed: ValueError: aaa"),
        (dies, (), "the fit failed: WorkerCrashedError: "),
    ],
)
def test_any_other_error_is_one_line(work: Any, args: tuple[Any, ...], text: str) -> None:
    with pytest.raises(JobError) as caught, ray_errors("the fit"):
        run(work, *args)
    assert str(caught.value).startswith(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_errors_of_this_process_pass_as_they_are() -> None:
    with pytest.raises(KeyError), ray_errors("the fit"):
        raise KeyError("x")
    with pytest.raises(QueryError), ray_errors("the fit"):
        raise QueryError("x")


def refuse(job: Job, start: datetime, end: datetime) -> Windows:
    raise QueryError("cpu: no such label")


@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data")
def test_an_error_in_a_task_of_ray_data_keeps_its_text(capfd: pytest.CaptureFixture[str]) -> None:
    """Ray Data appends advice to it, and logs two tracebacks, where it is not told otherwise."""
    start = datetime(2026, 3, 1, tzinfo=UTC)
    dataset = ray_dataset(make_job("http://localhost:1"), start, start + timedelta(hours=1), 1, refuse)
    with pytest.raises(QueryError) as caught, ray_errors("reading"):
        collect_windows(dataset)
    assert type(caught.value) is QueryError
    assert str(caught.value) == "cpu: no such label"
    assert "Traceback" not in capfd.readouterr().err


def test_an_error_that_holds_no_other_is_told_by_its_type() -> None:
    assert (
        str(local_error(ray.exceptions.GetTimeoutError("late"), "a pass")) == "a pass failed: GetTimeoutError: late"
    )
