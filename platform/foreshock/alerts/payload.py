"""The external representation of an alert: for notifiers, the HTTP API and the command line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from foreshock.alerts.model import Alert
from foreshock.clock import iso
from foreshock_pipelines.scoring.causes import Cause

__all__ = ["alert_payload", "causes_json", "summarise"]


def alert_payload(alert: Alert, event: str, base_url: str) -> dict[str, Any]:
    """JSON values of an alert; `event` is what just happened to it."""
    return {
        "id": alert.id,
        "event": event,
        "job": alert.job,
        "entity": alert.entity,
        "labels": alert.labels,
        "kind": alert.kind,
        "feature": alert.feature or None,
        "state": alert.state,
        "severity": alert.severity,
        "opened": iso(alert.opened_ms),
        "updated": iso(alert.updated_ms),
        "resolved": iso(alert.resolved_ms) if alert.resolved_ms is not None else None,
        "score": _number(alert.score),
        "peak": _number(alert.peak),
        "causes": alert.causes,
        "summary": alert.summary,
        "model": alert.version,
        "late": alert.late,
        "warming": alert.warming,
        "acknowledged_by": alert.acknowledged_by,
        "resolved_by": alert.resolved_by,
        "silenced_by": alert.silenced_by,
        "url": f"{base_url}/ai/anomalies/{alert.id}",
    }


def summarise(job: str, entity: str, score: float, causes: Sequence[Cause]) -> str:
    """One line that an on-call engineer can act on."""
    parts: list[str] = []
    for cause in causes[:3]:
        if cause.share < 0.1 and parts:
            break
        text = f"{cause.feature} {cause.share:.0%}"
        if cause.observed is not None and cause.expected is not None:
            text += f": {cause.observed:.4g}, usual {cause.expected:.4g}"
            if cause.lower is not None and cause.upper is not None:
                text += f" ({cause.lower:.4g} to {cause.upper:.4g})"
        parts.append(text)
    return f"{entity} ({job}) is anomalous, score {score:.2f}: " + ("; ".join(parts) or "no single cause")


def causes_json(causes: Sequence[Cause]) -> list[dict[str, Any]]:
    """Causes as JSON values; JSON, and PostgreSQL with it, has no NaN and no infinity: they become null."""
    found = []
    for cause in causes:
        values = {name: getattr(cause, name) for name in ("observed", "expected", "lower", "upper")}
        finite = {name: v if v is not None and math.isfinite(v) else None for name, v in values.items()}
        found.append(
            {"feature": cause.feature, "share": cause.share if math.isfinite(cause.share) else 0.0, **finite}
        )
    return found


def _number(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None
