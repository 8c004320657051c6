"""Reading job files: text, YAML, variables, and errors that a person can act on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from foreshock_models.errors import ConfigError
from foreshock_pipelines.jobfile.detectors import check_detectors
from foreshock_pipelines.jobfile.document import parse_yaml
from foreshock_pipelines.jobfile.job import Job
from foreshock_pipelines.jobfile.text import read_text
from foreshock_pipelines.jobfile.validation_errors import lines_of
from foreshock_pipelines.jobfile.variables import expand

__all__ = ["job_files", "load_files", "load_job", "load_jobs", "parse_job"]


def job_files(path: str | Path) -> list[Path]:
    """The file itself, or every ``*.yaml`` and ``*.yml`` of a folder, without hidden ones, as editors leave them.

    Raises
    ------
    ConfigError
        A folder without any.
    """
    path = Path(path)
    if not path.is_dir():
        return [path]
    files = sorted(f for f in [*path.glob("*.yaml"), *path.glob("*.yml")] if not f.name.startswith("."))
    if not files:
        raise ConfigError(f"{path}: the folder holds no job file (*.yaml)")
    return files


def load_jobs(
    paths: str | Path | Iterable[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    load: Callable[..., Job] | None = None,
) -> dict[str, Job]:
    """Read job files, or every job file of folders; by job name.

    Parameters
    ----------
    load
        What reads one file, in place of `load_job`.

    Raises
    ------
    ConfigError
        No such file, two jobs of one name, or mistakes: those of all files, one a line.
    """
    return {name: job for name, (job, _) in load_files(paths, env=env, load=load).items()}


def load_files(
    paths: str | Path | Iterable[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    load: Callable[..., Job] | None = None,
) -> dict[str, tuple[Job, Path]]:
    """As `load_jobs`, with the file of each job."""
    read = load or load_job
    found: dict[str, tuple[Job, Path]] = {}
    wrong: list[str] = []
    for path in [paths] if isinstance(paths, str | Path) else paths:
        try:
            files = job_files(path)
        except ConfigError as exc:
            wrong.append(str(exc))
            continue
        for file in files:
            try:
                job = read(file, env=env)
            except ConfigError as exc:
                wrong.append(str(exc))
                continue
            if job.name in found and found[job.name][1] != file:
                wrong.append(f"{file}: a job named {job.name!r} is in {found[job.name][1]}, too; names must differ")
                continue
            found[job.name] = job, file
    if wrong:
        raise ConfigError("\n".join(wrong))
    return found


def load_job(path: str | Path, *, env: Mapping[str, str] | None = None) -> Job:
    """Read one job file; relative paths in it count from its own folder.

    Raises
    ------
    ConfigError
        One line per mistake: file, key, what was wrong, what is allowed.
    """
    path = Path(path)
    return parse_job(read_text(path), name=str(path), base=path.parent, env=env)


def parse_job(
    text: str, *, name: str = "job", base: Path | None = None, env: Mapping[str, str] | None = None
) -> Job:
    """Make a job of YAML text.

    Raises
    ------
    ConfigError
        One line per mistake: file, key, what was wrong, what is allowed.
    """
    data = parse_yaml(text, name)
    if not isinstance(data, dict):
        raise ConfigError(f"{name}: a job file is a mapping with at least name, source, queries and entity")
    data = expand(data, os.environ if env is None else env, name)
    try:
        job = Job.model_validate(data)
    except ValidationError as exc:
        raise ConfigError(lines_of(exc, name)) from None
    try:
        check_detectors(job.detectors)
    except ConfigError as exc:
        raise ConfigError(f"{name}: {exc}") from exc
    return job.absolute(base) if base is not None else job
