"""Errors of Ray tasks and actors, as those of this project: one line, raised where their result is read."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from foreshock_models.errors import ForeshockError, JobError

__all__ = ["TaskFailed", "cause_of", "keep_ray_data_quiet", "local_error", "ray_errors"]

LOGGERS = ("ray.data.exceptions", "ray.data._internal.execution.streaming_executor_state")
"""Loggers of Ray Data that report errors, with the traceback of the worker, before they are raised."""
LONGEST = 500


class TaskFailed(Exception):
    """Carries an error of this project out of a task of Ray Data, which appends advice to the text of any error."""

    def __init__(self, error: ForeshockError, *appended: str) -> None:
        super().__init__(error, *appended)

    @property
    def error(self) -> ForeshockError:
        error: ForeshockError = self.args[0]
        return error

    def __str__(self) -> str:
        return str(self.args[0])


@contextmanager
def ray_errors(doing: str) -> Iterator[None]:
    """Raise the error of a worker as it was raised there, and whatever else Ray raises as a `JobError` of one line.

    Parameters
    ----------
    doing
        Subject of the line: ``the replay`` gives ``the replay failed: ...``.
    """
    from ray.exceptions import RayError

    try:
        yield
    except (RayError, TaskFailed) as exc:
        error = local_error(exc, doing)
        raise error from (None if cause_of(exc) is error else exc)


def local_error(exc: BaseException, doing: str) -> ForeshockError:
    """The error of this project that a worker raised, however deep in those of Ray, or a `JobError` of one line."""
    inner = cause_of(exc)
    if isinstance(inner, ForeshockError):
        return inner
    lines = [line.strip() for line in str(inner).splitlines() if line.strip()]
    text = lines[0][:LONGEST] if lines else ""
    return JobError(f"{doing} failed: {type(inner).__name__}" + (f": {text}" if text else ""))


def keep_ray_data_quiet() -> None:
    """Leave it to whoever reads a dataset to say what went wrong; with ``--verbose``, Ray Data says it too."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        if _raised_anyway not in logger.filters:
            logger.addFilter(_raised_anyway)


def _raised_anyway(record: logging.LogRecord) -> bool:
    return record.levelno < logging.ERROR or "FORESHOCK_TRACEBACK" in os.environ


def cause_of(exc: BaseException) -> BaseException:
    """The error that a worker raised, out of those of Ray; a task may have waited for another one."""
    from ray.exceptions import RayTaskError

    while isinstance(exc, RayTaskError) and isinstance(exc.cause, BaseException) and exc.cause is not exc:
        exc = exc.cause  # before the next line: Ray's error is one of the cause's own type, too
    return exc.error if isinstance(exc, TaskFailed) else exc
