"""Versioned models, with aliases."""

from __future__ import annotations

from foreshock_pipelines.registry.aliases import CHALLENGER, CHAMPION
from foreshock_pipelines.registry.model import Model
from foreshock_pipelines.registry.registry import Registry

__all__ = ["CHALLENGER", "CHAMPION", "Model", "Registry"]
