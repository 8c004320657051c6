"""Planting anomalies into normal rows, so that detectors can be judged where nobody labelled anything."""

from __future__ import annotations

from foreshock_models.planting.kinds import KINDS
from foreshock_models.planting.plant import Planted, PlantedPanel, plant

__all__ = ["KINDS", "Planted", "PlantedPanel", "plant"]
