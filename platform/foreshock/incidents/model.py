"""Incidents as records: what they are about, and their states."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from foreshock.clock import iso

__all__ = ["LIVE", "PLATFORM", "SEVERITIES", "STATES", "Incident", "Member", "Page", "worst"]

LIVE = ("open", "acknowledged")
STATES = (*LIVE, "resolved", "merged")
SEVERITIES = ("info", "warning", "critical")
PLATFORM = "foreshock"
"""The author of what no person did."""


@dataclass(frozen=True, slots=True)
class Incident:
    """Alerts that a team handles as one. Times are ms since the epoch.

    Attributes
    ----------
    first_ms, last_ms : time of the first and the last alert, in the time of the metrics
    causes : ranked root causes, the most likely one first
    apart : a person split it: it never becomes one with another by itself
    named : a person gave it its title
    paged_ms : when people were first to be told; null: it is still smaller than asked for
    merged_into : the incident that it is part of now
    """

    id: str
    state: str
    severity: str
    title: str
    opened_ms: int
    updated_ms: int
    first_ms: int
    last_ms: int
    alerts: int = 0
    jobs: list[str] = field(default_factory=list)
    entities: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    causes: list[dict[str, Any]] = field(default_factory=list)
    named: bool = False
    apart: bool = False
    kind: str | None = None
    kind_by: str | None = None
    confidence: float | None = None
    assignee: str | None = None
    acknowledged_by: str | None = None
    resolved_by: str | None = None
    resolved_ms: int | None = None
    paged_ms: int | None = None
    merged_into: str | None = None
    seq: int = 0

    @property
    def live(self) -> bool:
        return self.state in LIVE

    @property
    def match_labels(self) -> dict[str, str]:
        """Labels that matchers of routes see; those of alerts that all of them share."""
        about = {"severity": self.severity, "class": self.kind or "", "incident": self.id}
        return {**self.labels, "job": self.jobs[0] if len(self.jobs) == 1 else "", **about}

    def as_json(self, base_url: str = "") -> dict[str, Any]:
        """JSON values, as people, channels and clients get them."""
        return {
            "id": self.id,
            "state": self.state,
            "severity": self.severity,
            "title": self.title,
            "opened": iso(self.opened_ms),
            "updated": iso(self.updated_ms),
            "since": iso(self.first_ms),
            "last_alert": iso(self.last_ms),
            "resolved": iso(self.resolved_ms) if self.resolved_ms is not None else None,
            "alerts": self.alerts,
            "jobs": self.jobs,
            "entities": self.entities,
            "labels": self.labels,
            "root_causes": self.causes,
            "class": self.kind,
            "class_by": self.kind_by,
            "class_confidence": self.confidence,
            "assignee": self.assignee,
            "acknowledged_by": self.acknowledged_by,
            "resolved_by": self.resolved_by,
            "merged_into": self.merged_into,
            "url": f"{base_url}/incidents/{self.id}",
        }


@dataclass(frozen=True, slots=True)
class Member:
    """An alert of an incident, and why it is there."""

    incident: str
    alert: str
    at_ms: int
    node: str
    why: str


@dataclass(frozen=True, slots=True)
class Page:
    """Incidents, the newest first, and where the next page begins (None: there is none)."""

    incidents: list[Incident]
    next: int | None


def worst(*severities: str) -> str:
    """Return the gravest of severities."""
    return max(severities, key=SEVERITIES.index)
