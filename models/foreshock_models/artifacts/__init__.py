"""Saved models: a folder of JSON and safetensors. Nothing is pickled, so loading runs no code of the model's."""

from __future__ import annotations

from foreshock_models.artifacts.folder import FORMAT, load, read_manifest, save

__all__ = ["FORMAT", "load", "read_manifest", "save"]
