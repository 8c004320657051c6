"""Saved models: a folder of JSON and safetensors. Nothing is pickled, so loading runs no code of the model's."""

from __future__ import annotations

from typing import Any

from foreshock_models.artifacts.manifest import FORMAT, read_manifest

__all__ = ["FORMAT", "load", "read_manifest", "save"]


def __getattr__(name: str) -> Any:
    # reading a manifest needs no detector, hence no torch
    if name in ("load", "save"):
        from foreshock_models.artifacts import folder

        return getattr(folder, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
