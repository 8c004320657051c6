"""Base of all configuration: frozen, unknown keys refused, paths that can be used, and no secret in its text."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator

from foreshock_pipelines.jobfile.urls import shown_url

__all__ = ["Model", "shown"]

MAX_SHOWN = 60
"""Characters of a value in a message."""
URL = re.compile(r"[a-z][a-z0-9+.-]*://")


def shown(value: Any) -> str:
    """Return a value for a message: on one line, and not too long."""
    text = repr(value[: MAX_SHOWN + 1] if isinstance(value, str) else value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def _check_path(name: str, path: Path) -> None:
    if "\0" in str(path):
        raise ValueError(f"{name}: a path has no NUL in it")
    try:
        path.expanduser()
    except RuntimeError as exc:  # ~nobody-of-that-name
        raise ValueError(f"{name}: {shown(str(path))}: {exc}") from None


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)

    @model_validator(mode="after")
    def _usable_paths(self) -> Self:
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, Path):
                _check_path(name, value)
        return self

    def absolute(self, base: Path) -> Self:
        """Return the same with paths made absolute from `base`; links stay, for secrets are rotated behind them."""
        update: dict[str, Any] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, Path):
                update[name] = Path(os.path.abspath(base / value.expanduser()))
            elif isinstance(value, Model):
                update[name] = value.absolute(base)
            elif isinstance(value, list):
                update[name] = [item.absolute(base) if isinstance(item, Model) else item for item in value]
        return self.model_copy(update=update)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Fields as `repr` shows them: logs and tracebacks must not hold a password that stands in a URL."""
        for name, value in super().__repr_args__():
            is_url = isinstance(value, str) and URL.match(value)
            yield name, shown_url(value, path=False) if is_url else value
