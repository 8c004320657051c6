"""Check what a job file needs beside its own text: notifiers that can be made, files that are there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from foreshock.notify import check_notifier, make_notifier
from foreshock_models.errors import ConfigError
from foreshock_pipelines.jobfile import Job, NotifierConfig, load_job
from foreshock_pipelines.jobfile.base import Model
from foreshock_pipelines.sources import find_source

__all__ = ["load_and_verify_job", "load_job_for_run"]


def load_job_for_run(path: str | Path, *, env: Mapping[str, str] | None = None) -> Job:
    """Read one job file, and check its notifiers, without running code of a plugin: that runs where it can only
    harm itself.

    Raises
    ------
    ConfigError
        One line per mistake: file, key, what was wrong, what is allowed.
    """
    job = load_job(path, env=env)
    _raise(_wrong_notifiers(job, check_notifier), path)
    return job


def load_and_verify_job(path: str | Path, *, env: Mapping[str, str] | None = None) -> Job:
    """As `load_job_for_run`; the files that the job names must be there, and plugins must load, too."""
    job = load_job(path, env=env)
    _raise([*_wrong_source(job), *_wrong_notifiers(job, make_notifier), *_unreadable(job, ())], path)
    return job


def _raise(wrong: Iterable[str], path: str | Path) -> None:
    lines = [f"{path}: {line}" for line in wrong]
    if lines:
        raise ConfigError("\n".join(lines))


def _wrong_source(job: Job) -> Iterator[str]:
    try:
        find_source(job.source.kind)
    except ConfigError as exc:
        yield str(exc)


def _wrong_notifiers(job: Job, check: Callable[[NotifierConfig], object]) -> Iterator[str]:
    for i, config in enumerate(job.notify):
        try:
            check(config)
        except ConfigError as exc:
            yield f"notify.{i}: {str(exc).removeprefix('notify: ')}"
        except Exception as exc:  # of a plugin, which may raise anything; its text may hold a secret
            yield f"notify.{i}: the notifier {config.type!r} cannot be made: {type(exc).__name__}"


def _unreadable(value: Any, path: tuple[str, ...]) -> Iterator[str]:
    """Files below a value that must be there; a source of Parquet may still be written."""
    if isinstance(value, Model):
        for name in type(value).model_fields:
            yield from _unreadable(getattr(value, name), (*path, name))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _unreadable(item, (*path, str(i)))
    elif isinstance(value, Path) and path != ("source", "parquet"):
        where = ".".join(path)
        if not value.exists():
            yield f"{where}: {value}: no such file"
        elif not value.is_file() or not os.access(value, os.R_OK):
            yield f"{where}: {value}: not a file that can be read"
