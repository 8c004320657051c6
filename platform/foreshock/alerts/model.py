"""Alerts as records: what they are about, their states, and pages of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from foreshock_pipelines.prometheus.labels import exported_labels

__all__ = ["KINDS", "LIVE", "SEVERITIES", "STATES", "Alert", "AlertKey", "Page"]

LIVE = ("open", "acknowledged")
STATES = (*LIVE, "resolved")
KINDS = ("anomaly", "absent", "predicted", "notice")
AlertKey = tuple[str, str, str]
"""Entity, kind and feature of an alert."""
SEVERITIES = ("info", "warning", "critical")


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert, as people and receivers see it. Times are ms since the epoch.

    There is one live alert per job, entity, kind and `feature`: the one feature that an ``absent`` or
    ``predicted`` alert is about, empty where it is about the entity as a whole. `announced`: receivers know of
    it; false while a silence has held it back since it opened.
    """

    id: str
    job: str
    entity: str
    labels: dict[str, str]
    kind: str
    state: str
    severity: str
    opened_ms: int
    updated_ms: int
    score: float
    peak: float
    summary: str
    causes: list[dict[str, Any]]
    resolved_ms: int | None = None
    version: str | None = None
    late: bool = False
    warming: bool = False
    feature: str = ""
    acknowledged_by: str | None = None
    resolved_by: str | None = None
    silenced_by: str | None = None
    announced: bool = True
    seq: int = 0

    @property
    def live(self) -> bool:
        return self.state in LIVE

    @property
    def match_labels(self) -> dict[str, str]:
        """Labels that matchers see: those of the entity, and the alert's job, kind, severity and feature."""
        about = {"job": self.job, "kind": self.kind, "severity": self.severity, "feature": self.feature}
        return {**exported_labels(self.labels), **about}

    @property
    def key(self) -> AlertKey:
        """The subject of the alert: a job has at most one live alert for each."""
        return self.entity, self.kind, self.feature


@dataclass(frozen=True, slots=True)
class Page:
    """Alerts, the newest first, and where the next page begins (None: there is none)."""

    alerts: list[Alert]
    next: int | None
