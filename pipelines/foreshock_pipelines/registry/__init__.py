"""Versioned models, with aliases."""

from __future__ import annotations

from foreshock_pipelines.registry.registry import CHALLENGER, CHAMPION, Model, Registry

__all__ = ["CHALLENGER", "CHAMPION", "Model", "Registry"]
