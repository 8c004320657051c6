"""Repetition of requests: full jitter, ``Retry-After``, a deadline, and an end from another thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from foreshock_models.errors import HttpError

__all__ = ["RETRIED", "retried", "retry_after"]

RETRIED = {408, 425, 429, 500, 502, 503, 504}
"""Status codes of what may succeed when it is tried again."""
T = TypeVar("T")
_JITTER = wait_random_exponential(multiplier=0.5, max=30)  # so that many clients do not come back together


def retried(
    attempt: Callable[[], T], *, retries: int, until: float = float("inf"), stop: threading.Event | None = None
) -> T:
    """Return the result of `attempt`; call it again after an `HttpError` that may pass.

    Parameters
    ----------
    retries
        How often after the first time.
    until
        Moment (``time.monotonic()``) that no pause goes beyond.
    stop
        When set, from any thread, no further attempt is made.

    Raises
    ------
    HttpError
        The last error, with the number of attempts; or the first that does not pass.
    """
    stop = stop or threading.Event()

    def given_up(state: RetryCallState) -> T:
        assert state.outcome is not None
        last = state.outcome.exception()
        assert isinstance(last, HttpError)
        tries = state.attempt_number
        if stop.is_set():
            why = "stopped waiting"
        elif tries <= retries:
            why = "no answer before the deadline"
        else:
            why = f"no answer after {tries} {'tries' if tries > 1 else 'try'}"
        raise last.reworded(f"{why}: {last}") from last

    def pause(seconds: float) -> None:
        stop.wait(seconds)

    return Retrying(
        retry=retry_if_exception(lambda exc: isinstance(exc, HttpError) and exc.retriable),
        stop=lambda state: (
            stop_after_attempt(retries + 1)(state)
            or stop.is_set()
            or time.monotonic() + state.upcoming_sleep > until
        ),
        wait=_pause,
        sleep=pause,
        retry_error_callback=given_up,
    )(attempt)


def retry_after(header: str | None) -> float | None:
    """Seconds that a server asks to wait; it says seconds, or a date."""
    if not header:
        return None
    try:
        return max(0.0, Retry().parse_retry_after(header))
    except (InvalidHeader, ValueError, OverflowError):
        return None


def _pause(state: RetryCallState) -> float:
    exc = state.outcome.exception() if state.outcome is not None else None
    asked = exc.retry_after if isinstance(exc, HttpError) else None
    return _JITTER(state) if asked is None else asked
