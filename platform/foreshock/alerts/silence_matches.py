"""Count what a silence matches now, so that a mistyped one is noticed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from foreshock.alerts.model import KINDS, SEVERITIES
from foreshock.alerts.repository import AlertRepository
from foreshock.scoring.checkpoint import CheckpointRepository
from foreshock.scoring.cursors import CursorRepository
from foreshock.silences.model import ALERT_NAMES, Silence
from foreshock.store.store import Store
from foreshock_models.errors import DataError, RegistryError
from foreshock_pipelines.prometheus.labels import exported_labels
from foreshock_pipelines.registry import Registry

__all__ = ["SilenceMatches", "count_matches"]


@dataclass(frozen=True, slots=True)
class SilenceMatches:
    """Numbers of the entities and of the live alerts that a silence matches, of all `known` entities."""

    entities: int
    known: int
    alerts: int

    @property
    def note(self) -> str | None:
        """Says that it matches nothing; None if it does match."""
        if self.entities or self.alerts:
            return None
        if not self.known:
            return "no entity is known yet: it holds back what matches later"
        return f"it matches none of the {self.known} entities known now: it holds back what matches later"

    def as_json(self) -> dict[str, Any]:
        """JSON values."""
        return {"entities": self.entities, "known": self.known, "alerts": self.alerts, "note": self.note}


def count_matches(store: Store, registry: Registry, silence: Silence) -> SilenceMatches:
    """Count the entities and live alerts that a silence matches, whatever the time."""
    entities = known = alerts = 0
    for job in CheckpointRepository(store).jobs():
        manifest = _manifest(registry, job)
        about = _may_match(silence, manifest)
        for labels in _entities(store, job, manifest):
            known += 1
            entities += about and _holds(silence, labels)
        alerts += sum(silence.matches(alert) for alert in AlertRepository(store).live(job).values())
    return SilenceMatches(entities, known, alerts)


def _may_match(silence: Silence, manifest: dict[str, Any]) -> bool:
    """True if there may be an alert whose kind, severity and feature the silence matches."""
    asked = [matcher for matcher in silence.matchers if matcher.name in ALERT_NAMES[1:]]
    return any(
        all(matcher.matches({"kind": kind, "severity": severity, "feature": feature}) for matcher in asked)
        for kind, severity, feature in product(KINDS, SEVERITIES, ["", *manifest.get("queries", ())])
    )


def _holds(silence: Silence, labels: dict[str, str]) -> bool:
    return all(m.matches(labels) for m in silence.matchers if m.name not in ALERT_NAMES[1:])


def _entities(store: Store, job: str, manifest: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Labels of the entities of a job, with its name."""
    from foreshock_pipelines.datasets.entity_key import entity_labels

    for row in CursorRepository(store).of_job(job):
        try:
            labels = exported_labels(entity_labels(row["entity"], manifest.get("entity", ())))
        except DataError:  # the job's labels were others, or its model is gone
            labels = {}
        yield {**labels, "job": job}


def _manifest(registry: Registry, job: str) -> dict[str, Any]:
    try:
        return registry.get(job).manifest
    except RegistryError:
        return {}
