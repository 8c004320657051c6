"""``detectors:`` of a job file: their names and parameters, checked before anything is fitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args, get_type_hints

from pydantic import Field

from foreshock_models.errors import ConfigError
from foreshock_pipelines.jobfile.base import Model, shown
from foreshock_pipelines.jobfile.durations import LARGEST, Duration, parse_duration

__all__ = ["AutoDetectors", "Detectors", "check_detectors", "normal_form"]

Detectors = dict[str, dict[str, Any]]
MOST = 1_000_000
"""Of a parameter that counts something: trees, rows, epochs."""
FROM_ZERO = {"random_state", "noise", "beta", "ridge"}


class AutoDetectors(Model):
    """``detectors: auto``, or ``{auto: {time: 20m}}``: pick detectors and their settings by a search."""

    time: Duration = Field(parse_duration("10m"), description="how long the first training searches")
    trials: int = Field(8, ge=1, le=10_000, description="settings to try for each detector")


def normal_form(value: Any) -> Any:
    """``auto``, a name, a list of names, or a mapping, as a mapping of names to parameters.

    Raises
    ------
    ValueError
        An item of the list is neither a name nor a mapping.
    """
    if isinstance(value, str):
        return {value: {}}
    if isinstance(value, list):
        merged: dict[str, Any] = {}
        for item in value:
            if not isinstance(item, str | dict):
                raise ValueError(f"{shown(item)} is not a detector; write a name, or {{name: {{param: value}}}}")
            merged.update({item: {}} if isinstance(item, str) else item)
        value = merged
    if not isinstance(value, dict):
        return value
    return {name: {} if params is None else params for name, params in value.items()}


def check_detectors(detectors: Detectors) -> None:
    """Check names and parameters.

    Raises
    ------
    ConfigError
        No such detector or parameter, or a value of another type or out of range; names the key.
    """
    from foreshock_models.detectors import DETECTORS, check_params, find  # with torch: only for jobs that name some

    for name, params in detectors.items():
        if name == "auto":
            continue
        try:
            check_params(name, params)
        except ConfigError as exc:
            raise ConfigError(f"detectors: {exc}") from exc
        hints = get_type_hints(find(name).__init__) if name in DETECTORS and params else {}
        for param, value in params.items():
            wrong = _wrong(param, value, hints)
            if wrong:
                raise ConfigError(f"detectors.{name}.{param}: {shown(value)} is not allowed; write {wrong}")


def _wrong(param: str, value: Any, hints: Mapping[str, Any]) -> str | None:
    """The rule that a value breaks, or None."""
    if isinstance(value, int | float) and not abs(value) <= LARGEST:
        return f"a number of at most {LARGEST:g}"
    if param not in hints:
        return None
    kinds = get_args(hints[param]) or (hints[param],)
    if value is None and type(None) in kinds:
        return None
    if str in kinds:
        return None if isinstance(value, str) else "text"
    whole = float not in kinds
    least = 0 if param in FROM_ZERO else 1 if whole else 1e-12
    most = 2**32 - 1 if param == "random_state" else MOST if whole else LARGEST
    if isinstance(value, int if whole else int | float) and not isinstance(value, bool) and least <= value <= most:
        return None
    return f"a {'whole number' if whole else 'number'} from {least:g} to {most:,}"
