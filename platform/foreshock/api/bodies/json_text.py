"""JSON text as values, and values as what a schema says."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from foreshock.api.errors import Problem

__all__ = ["checked", "count_colons", "count_times", "json_value", "refuse_repeated_keys", "schema_problem"]

B = TypeVar("B", bound=BaseModel)
CONTAINERS = 2_000_000
"""Lists and objects in a large body: each takes 64 bytes, and may be written with two."""
LARGE = 1_000_000
WITHOUT_COLON = {int, float, bool, type(None)}


def json_value(data: bytes) -> Any:
    """The value of a JSON text.

    Raises
    ------
    Problem
        422: it is not JSON, or has so many lists and objects that they would take gigabytes.
    """
    if len(data) > LARGE and data.count(b"[") + data.count(b"{") > CONTAINERS:
        raise Problem(422, f"the body has more than {CONTAINERS:,} lists and objects; send fewer windows")
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as exc:
        infinite = b"NaN" in data or b"Infinity" in data
        hint = "; NaN and Infinity are not JSON: write null for a gap" if infinite else ""
        raise Problem(422, f"the body is not JSON: {exc}{hint}") from exc


def count_times(value: Any) -> int:
    """Times in a `ScoreRequest`, as far as it is one: a look that costs nothing."""
    windows = value.get("windows") if isinstance(value, dict) else None
    times = (one.get("timestamps") for one in windows if isinstance(one, dict)) if isinstance(windows, list) else ()
    return sum(len(some) for some in times if isinstance(some, list))


def refuse_repeated_keys(data: bytes, value: Any) -> None:
    """Refuse a body that gives a key twice, of which only the last would count.

    There is a colon behind each key, and within texts: only a body with more of them than its value has is read
    once again, for its keys.

    Raises
    ------
    Problem
        422: a key is given twice in one object.
    """
    try:
        if data.count(b":") != count_colons(value):
            json.loads(data, object_pairs_hook=_once)
    except RecursionError as exc:
        raise Problem(422, "the body is nested too deeply") from exc


def count_colons(value: Any) -> int:
    """Colons that the JSON text of a value has, if none is escaped."""
    kind = type(value)
    if kind is str:
        return int(value.count(":"))
    if kind is dict:
        return len(value) + sum(key.count(":") for key in value) + sum(map(count_colons, value.values()))
    if kind is list:
        kinds = set(map(type, value))
        if kinds <= WITHOUT_COLON:
            return 0
        return "\n".join(value).count(":") if kinds == {str} else sum(map(count_colons, value))
    return 0


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        (name, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise Problem(422, f"the key {name!r} is given twice in one object")
    return found


def checked(model: type[B], value: Any) -> B:
    """A body or query by its schema; a Problem that says what is wrong with it."""
    try:
        return model.model_validate(value)
    except ValidationError as exc:
        raise schema_problem(exc.errors(include_url=False, include_input=False)) from exc


def schema_problem(errors: Any) -> Problem:
    """The problem that errors of a schema are."""
    found = [{"at": ".".join(map(str, e["loc"])), "message": e["msg"]} for e in list(errors)[:20]]
    first = found[0]
    return Problem(422, f"{first['at']}: {first['message']}", errors=found)
