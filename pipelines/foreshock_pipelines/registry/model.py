"""One version of a model, as a record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Model"]


@dataclass(frozen=True)
class Model:
    """One version of a job's model."""

    job: str
    version: str
    aliases: tuple[str, ...]
    manifest: dict[str, Any]

    @property
    def detector(self) -> str:
        return str(self.manifest["model"]["detector"])

    @property
    def members(self) -> tuple[str, ...]:
        """Names of the detectors in it."""
        return tuple(self.manifest["model"].get("members", {})) or (self.detector,)
