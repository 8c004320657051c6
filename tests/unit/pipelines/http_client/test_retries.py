"""Repetition of requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from foreshock_models.errors import HttpError
from foreshock_pipelines.http_client.retries import retried, retry_after


def failing(*errors: HttpError) -> tuple[Callable[[], str], list[float]]:
    """A function that raises these in turn, and then returns; with the times of its calls."""
    left, calls = list(errors), list[float]()

    def attempt() -> str:
        calls.append(time.monotonic())
        if left:
            raise left.pop(0)
        return "done"

    return attempt, calls


def passing(text: str = "busy", retry_after: float | None = 0.0) -> HttpError:
    return HttpError(text, status=503, retriable=True, retry_after=retry_after)


def test_what_may_pass_is_tried_again() -> None:
    attempt, calls = failing(passing(), passing())
    assert retried(attempt, retries=2) == "done"
    assert len(calls) == 3


def test_what_does_not_pass_is_not_tried_again() -> None:
    attempt, calls = failing(HttpError("no", status=404))
    with pytest.raises(HttpError, match=r"^no$"):
        retried(attempt, retries=5)
    assert len(calls) == 1


@pytest.mark.parametrize(("retries", "words"), [(0, "1 try"), (2, "3 tries")])
def test_the_last_error_tells_the_number_of_tries(retries: int, words: str) -> None:
    attempt, _ = failing(*[passing()] * 9)
    with pytest.raises(HttpError, match=rf"^no answer after {words}: busy$") as caught:
        retried(attempt, retries=retries)
    assert (caught.value.status, caught.value.retriable) == (503, True)


def test_the_server_says_how_long_to_wait() -> None:
    attempt, calls = failing(passing(retry_after=0.5))
    retried(attempt, retries=1)
    assert 0.5 <= calls[1] - calls[0] < 1


def test_no_pause_goes_beyond_the_deadline() -> None:
    attempt, calls = failing(passing(retry_after=60))
    began = time.monotonic()
    with pytest.raises(HttpError, match=r"^no answer before the deadline: busy$"):
        retried(attempt, retries=5, until=began + 2)
    assert time.monotonic() - began < 1
    assert len(calls) == 1


def test_a_stop_ends_the_pause() -> None:
    attempt, calls = failing(*[passing(retry_after=30)] * 9)
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    began = time.monotonic()

    def checked() -> str:
        if stop.is_set():
            raise HttpError("stopped")
        return attempt()

    with pytest.raises(HttpError, match="stopped"):
        retried(checked, retries=5, stop=stop)
    assert time.monotonic() - began < 2
    assert len(calls) == 1


def test_retry_after_is_seconds_or_a_date() -> None:
    later = retry_after(format_datetime(datetime.now(UTC) + timedelta(seconds=60)))
    assert retry_after("3") == 3
    assert later is not None and 55 < later <= 60
    assert retry_after(format_datetime(datetime.now(UTC) - timedelta(hours=1))) == 0


@pytest.mark.parametrize("text", [None, "", "soon", "-3", "1.5", "²", "9" * 400 + " days", "inf"])
def test_a_retry_after_that_is_neither_does_not_count(text: str | None) -> None:
    assert retry_after(text) is None
