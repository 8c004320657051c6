"""Root cause: which node of a system an incident began at."""

from __future__ import annotations

from foreshock_models.rootcause.deviation import Departures, departures
from foreshock_models.rootcause.ranking import Evidence, Metric, RootCause, rank_causes

__all__ = ["Departures", "Evidence", "Metric", "RootCause", "departures", "rank_causes"]
