"""Findings about entities of a job, and the changes that they make to alerts of that kind."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from foreshock.alerts.model import Alert
from foreshock_pipelines.datasets.entity_key import entity_labels
from foreshock_pipelines.jobfile import Job

__all__ = ["Finding", "new_alert"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about an entity, or about one feature of it, that is an alert for as long as it is found.

    Parameters
    ----------
    began_ms
        When it began: with the entity, kind and feature it names the alert, so that a repeated pass opens no
        second one, and one that a person resolved is not opened again for the same beginning.
    why
        For the history.
    """

    entity: str
    began_ms: int
    summary: str
    why: str
    feature: str = ""
    severity: str = "warning"
    score: float = 0.0
    causes: list[dict[str, Any]] = field(default_factory=list)
    version: str | None = None

    def alert(self, job: Job, kind: str, at_ms: int) -> Alert:
        """The alert that it opens."""
        return new_alert(
            job, self.entity, kind, self.began_ms, self.summary, feature=self.feature, severity=self.severity,
            score=self.score, peak=self.score, updated_ms=at_ms, causes=self.causes, version=self.version,
        )  # fmt: skip


def new_alert(job: Job, entity: str, kind: str, at_ms: int, summary: str, **more: Any) -> Alert:
    """An open alert that nobody knows of yet; its id follows from what it is about."""
    feature = more.get("feature", "")
    parts = (job.name, entity, kind, str(at_ms), *([feature] if feature else []))
    fields: dict[str, Any] = {
        "severity": "warning", "score": 0.0, "peak": 0.0, "updated_ms": at_ms, "causes": [], "announced": False,
        **more,
    }  # fmt: skip
    return Alert(
        id=hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16], job=job.name, entity=entity,
        labels=entity_labels(entity, job.entity), kind=kind, state="open", opened_ms=at_ms, summary=summary,
        **fields,
    )  # fmt: skip
