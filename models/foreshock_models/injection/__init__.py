"""Injection of synthetic anomalies into normal rows, to judge detectors where nobody labelled any."""

from __future__ import annotations

from foreshock_models.injection.anomaly_types import ANOMALY_TYPES
from foreshock_models.injection.inject import InjectedAnomaly, InjectedPanel, inject

__all__ = ["ANOMALY_TYPES", "InjectedAnomaly", "InjectedPanel", "inject"]
