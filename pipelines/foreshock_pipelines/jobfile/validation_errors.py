"""Validation errors of pydantic in the words of a job file; never with a value that may be a secret."""

from __future__ import annotations

import re
import types
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from foreshock_models.errors import allowed
from foreshock_pipelines.jobfile.base import shown
from foreshock_pipelines.jobfile.job import Job
from foreshock_pipelines.jobfile.location import dotted

__all__ = ["MAX_LINES", "lines_of"]

MAX_LINES = 20
OF_A_TYPE = {"string_type": "text", "list_type": "a list", "int_type": "a whole number", "float_type": "a number"}


def lines_of(exc: ValidationError, name: str, model: type[BaseModel] = Job) -> str:
    """One line a mistake: file, key, what was wrong, what is allowed; at most `MAX_LINES`.

    Parameters
    ----------
    model
        Of the whole file.
    """
    found = exc.errors(include_url=False)
    lines = [f"{name}: {_line(error, model)}" for error in found[:MAX_LINES]]
    if len(found) > MAX_LINES:
        lines.append(f"{name}: and {len(found) - MAX_LINES:,} more mistakes")
    return "\n".join(lines)


def _line(error: Any, model: type[BaseModel]) -> str:
    loc = [part for part in error["loc"] if not (isinstance(part, str) and part.startswith("function-"))]
    if loc and loc[-1] == "[key]":
        loc = loc[:-1]
    where = dotted(loc) or ("the job" if model is Job else "the file")
    kind, message = error["type"], " ".join(error["msg"].removeprefix("Value error, ").split())
    if kind == "extra_forbidden":
        return f"unknown key {where!r}; {allowed(str(loc[-1]), _fields(loc[:-1], model))}"
    if kind == "missing":
        return f"the key {where!r} is missing"
    if error["input"] is None:
        return f"{where}: is empty; write a value, or leave the key out"
    if kind == "literal_error":
        words = re.findall(r"'([^']+)'", error["ctx"]["expected"])
        return f"{where}: {shown(error['input'])} is not allowed; {allowed(str(error['input'])[:100], words)}"
    if kind == "string_pattern_mismatch":
        return f"{where}: {shown(error['input'])} is not a valid name; it must match {error['ctx']['pattern']}"
    if kind in ("model_type", "dict_type"):
        fields = _fields(loc, model)
        return f"{where}: must be a mapping" + (f" with keys of {', '.join(fields)}" if fields else " of keys")
    if kind == "string_type" and isinstance(error["input"], bool):
        return f"{where}: YAML reads a bare yes, no, on or off as true or false; put the text into quotes"
    if kind in OF_A_TYPE:
        return f"{where}: must be {OF_A_TYPE[kind]}"
    return f"{where}: {message}"


def _fields(loc: list[Any], model: type[BaseModel]) -> list[str]:
    """Names allowed at a place of the file."""
    kind: Any = model
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
