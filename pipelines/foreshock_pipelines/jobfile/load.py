"""Reading job files: variables, YAML, and errors that a person can act on."""

from __future__ import annotations

import os
import re
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from foreshock_models.errors import ConfigError, allowed
from foreshock_pipelines.jobfile.job import Job

__all__ = ["expand", "load_job", "load_jobs", "parse_job"]

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def load_jobs(path: str | Path, *, env: Mapping[str, str] | None = None) -> dict[str, Job]:
    """Read one job file, or every ``*.yaml`` of a folder; by job name.

    Raises
    ------
    ConfigError
        No such file, two jobs of one name, or a mistake in a file.
    """
    path = Path(path)
    if not path.is_dir():
        job = load_job(path, env=env)
        return {job.name: job}
    files = sorted([*path.glob("*.yaml"), *path.glob("*.yml")])
    if not files:
        raise ConfigError(f"{path}: the folder holds no job file (*.yaml)")
    jobs: dict[str, Job] = {}
    for file in files:
        job = load_job(file, env=env)
        if job.name in jobs:
            raise ConfigError(f"{file}: a job named {job.name!r} exists already in this folder; names must differ")
        jobs[job.name] = job
    return jobs


def load_job(path: str | Path, *, env: Mapping[str, str] | None = None) -> Job:
    """Read one job file; relative paths in it count from its own folder."""
    path = Path(path)
    try:
        text = path.read_text()
    except OSError as exc:
        raise ConfigError(f"{path}: cannot read the job file: {exc.strerror or exc}") from exc
    return parse_job(text, name=str(path), base=path.parent, env=env)


def parse_job(
    text: str, *, name: str = "job", base: Path | None = None, env: Mapping[str, str] | None = None
) -> Job:
    """Make a job of YAML text.

    Raises
    ------
    ConfigError
        One line per mistake: file, key, what was wrong, what is allowed.
    """
    try:
        data = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as exc:
        raise ConfigError(f"{name}: not valid YAML: {exc}") from exc
    if not isinstance(data, dict):
        raise ConfigError(f"{name}: a job file is a mapping with at least name, source, queries and entity")
    data = expand(data, os.environ if env is None else env, name)
    try:
        job = Job.model_validate(data)
    except ValidationError as exc:
        raise ConfigError("\n".join(f"{name}: {_line(error, data)}" for error in exc.errors())) from exc
    _check_detectors(job, name)
    return _absolute(job, base) if base is not None else job


def expand(value: Any, env: Mapping[str, str], name: str = "job") -> Any:
    """Replace ``${VAR}`` and ``${VAR:-default}`` in every string of a parsed file."""
    if isinstance(value, dict):
        return {key: expand(item, env, name) for key, item in value.items()}
    if isinstance(value, list):
        return [expand(item, env, name) for item in value]
    if not isinstance(value, str):
        return value

    def one(match: re.Match[str]) -> str:
        variable, default = match[1], match[2]
        found = env.get(variable) or default
        if found is None:
            raise ConfigError(f"{name}: ${{{variable}}} is not set; set it, or write ${{{variable}:-default}}")
        return found

    return VARIABLE.sub(one, value)


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice in one mapping, which YAML would silently overwrite."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _line(error: Any, data: Any) -> str:
    loc = [part for part in error["loc"] if not (isinstance(part, str) and part.startswith("function-"))]
    where = ".".join(str(part) for part in loc) or "the job"
    kind, message = error["type"], error["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        return f"unknown key {where!r}; {allowed(str(loc[-1]), _fields(loc[:-1]))}"
    if kind == "missing":
        return f"the key {where!r} is missing"
    if kind == "literal_error":
        words = re.findall(r"'([^']+)'", error["ctx"]["expected"])
        return f"{where}: {error['input']!r} is not allowed; {allowed(str(error['input']), words)}"
    if kind == "string_pattern_mismatch":
        if loc and loc[-1] == "[key]":
            where = ".".join(str(part) for part in loc[:-1])
        return f"{where}: {error['input']!r} is not a valid name; it must match {error['ctx']['pattern']}"
    return f"{where}: {message}"


def _fields(loc: list[Any]) -> list[str]:
    """Names allowed at a place of the job file."""
    kind: Any = Job
    for part in loc:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            named = {(f.alias or n): f.annotation for n, f in kind.model_fields.items()}
            kind = _unwrap(named.get(str(part)))
        elif get_origin(kind) is dict:
            kind = _unwrap(get_args(kind)[1])
        elif get_origin(kind) is list:
            kind = _unwrap(get_args(kind)[0])
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [f.alias or n for n, f in kind.model_fields.items()]
    return []


def _unwrap(kind: Any) -> Any:
    """Take ``Annotated[...]`` and ``... | None`` off a type."""
    while get_origin(kind) in (Annotated, Union, types.UnionType):
        kind = next((a for a in get_args(kind) if a is not type(None)), None)
    return kind


def _check_detectors(job: Job, name: str) -> None:
    for detector, params in job.detectors.items():
        if detector == "auto":
            continue
        from foreshock_models.detectors import check_params  # with torch: only for jobs that name detectors

        try:
            check_params(detector, params)
        except ConfigError as exc:
            raise ConfigError(f"{name}: detectors: {exc}") from exc


def _absolute(job: Job, base: Path) -> Job:
    def fix(path: Path | None) -> Path | None:
        return None if path is None else (base / path.expanduser()).resolve()

    source = job.source.model_copy(update={"parquet": fix(job.source.parquet)})
    return job.model_copy(update={"source": source, "labels": fix(job.labels)})
