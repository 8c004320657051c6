"""Use cases of feedback: add it, undo it. Each is one transaction, with its effect on calibration."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from datetime import time as clock
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy.engine import Connection

from foreshock.alerts.model import Alert
from foreshock.alerts.repository import AlertRepository
from foreshock.alerts.service import AlertResolver
from foreshock.audit import record
from foreshock.feedback.model import VERDICTS, Feedback, describe_effect
from foreshock.feedback.repository import FeedbackRepository
from foreshock.scoring.checkpoint import Checkpoint, CheckpointRepository
from foreshock.store.store import Store
from foreshock_models.errors import ConfigError, StateError, allowed
from foreshock_models.state import State
from foreshock_pipelines.registry import Registry

if TYPE_CHECKING:
    from foreshock_models.calibration.calibrator import Calibrator

__all__ = ["add_feedback", "parse_interval", "undo_feedback"]


def add_feedback(
    store: Store,
    registry: Registry,
    alert_id: str,
    verdict: str,
    *,
    who: str,
    now_ms: int,
    interval: tuple[int, int] | None = None,
    note: str = "",
    url: str = "",
) -> Feedback:
    """Add the verdict of a person on an alert.

    A false alarm is resolved, and the line of its entity raised at once, so that the same scores as high as the
    alert's peak stay below it. A pass of scoring that is under way is repeated under the new line.

    Parameters
    ----------
    verdict
        ``false``, ``true`` or ``exclude``.
    interval
        First and last row that it is about, ms since the epoch; default those of the alert.

    Raises
    ------
    ConfigError
        An unknown verdict, or an exclusion without its interval.
    StateError
        The same was said of it before and is in force.
    """
    if verdict not in VERDICTS:
        raise ConfigError(f"no verdict {verdict!r}; {allowed(verdict, VERDICTS)}")
    if verdict == "exclude" and interval is None:
        raise ConfigError("say which rows are not to be learnt from, as in 14:00..15:30")
    if interval is not None and interval[1] < interval[0]:
        raise ConfigError("the interval ends before it starts")
    kept = FeedbackRepository(store)
    job = AlertRepository(store).get(alert_id).job
    resolver = AlertResolver(store, who, now_ms, url)
    with store.begin() as c:
        scorer = CheckpointRepository(store).get(job, c)  # first the scorer, then its alerts: as a pass does
        alert = AlertRepository(store).get(alert_id, c)
        before = [f for f in kept.of_alert(alert_id, c) if f.undone_ms is None and f.verdict != "exclude"]
        if verdict != "exclude" and before:
            raise StateError(f"{alert_id} was called {before[-1].verdict} by {before[-1].who}; undo that first")
        start, last = interval or (alert.opened_ms, alert.resolved_ms or alert.updated_ms)
        feedback = Feedback(
            uuid.uuid4().hex[:12], alert.id, job, alert.entity, verdict, start, last, who, now_ms, note=note
        )
        if verdict == "false" and alert.kind == "anomaly" and scorer is not None:
            by = _tolerance_for(kept, registry, alert, scorer.version, c)
            model = _with_raised_line(scorer, alert.entity, by)
            CheckpointRepository(store).save(
                c, job, replace(scorer, model_state=model.to_bytes(), revision=scorer.revision + 1)
            )
            feedback = replace(feedback, shift=by)
        kept.add(c, feedback)
        AlertRepository(store).add_history(
            alert.id, f"feedback {verdict}", who=who, why=describe_effect(feedback), at_ms=now_ms, c=c
        )
        if verdict == "false" and alert.live:
            resolver.resolve(c, alert, note or "a false alarm")
        record(store, c, "feedback:give", alert_id, verdict=verdict, who=who, note=note)
    return feedback


def parse_interval(text: str, near_ms: int) -> tuple[int, int]:
    """Read ``14:00..15:30`` (UTC, on the day of `near_ms`; past midnight if it must be) or two ISO times.

    Raises
    ------
    ConfigError
        Neither of these.
    """
    parts = text.split("..")
    near = datetime.fromtimestamp(near_ms / 1000, UTC)
    try:
        first, last = (_clock(part.strip(), near) for part in parts)
    except ValueError as exc:
        raise ConfigError(
            f"{text!r} is not an interval; write it as in 14:00..15:30 (UTC, on the day of the alert) "
            "or 2026-03-01T14:00..2026-03-01T15:30"
        ) from exc
    if last < first and len(parts[1].strip()) <= len("00:00:00"):
        last += timedelta(days=1)
    return round(first.timestamp() * 1000), round(last.timestamp() * 1000)


def _clock(text: str, near: datetime) -> datetime:
    if len(text) <= len("00:00:00"):
        return datetime.combine(near.date(), clock.fromisoformat(text), UTC)
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def undo_feedback(store: Store, alert_id: str, *, who: str, now_ms: int) -> Feedback:
    """Undo the last feedback on an alert; it stays in its history.

    Raises
    ------
    StateError
        Nothing is in force.
    """
    kept = FeedbackRepository(store)
    job = AlertRepository(store).get(alert_id).job
    with store.begin() as c:
        scorer = CheckpointRepository(store).get(job, c)
        AlertRepository(store).get(alert_id, c)  # locks it
        given = [f for f in kept.of_alert(alert_id, c) if f.undone_ms is None]
        if not given:
            raise StateError(f"no feedback on {alert_id} is in force")
        last = given[-1]
        if last.shift and scorer is not None:
            model = _with_raised_line(scorer, last.entity, -last.shift)
            CheckpointRepository(store).save(
                c, job, replace(scorer, model_state=model.to_bytes(), revision=scorer.revision + 1)
            )
        kept.undo(c, last.id, now_ms)
        why = f"{last.verdict} by {last.who} is taken back"
        AlertRepository(store).add_history(alert_id, "feedback undone", who=who, why=why, at_ms=now_ms, c=c)
        record(store, c, "feedback:undo", alert_id, verdict=last.verdict, who=who)
    return replace(last, undone_ms=now_ms)


def _tolerance_for(
    kept: FeedbackRepository, registry: Registry, alert: Alert, version: str, c: Connection
) -> float:
    """Return how far to raise the line for an alert, less what other false alarms have raised it since."""
    packed = registry.get(alert.job, version).manifest["model"]["calibration"]
    needed = _calibrator(packed).tolerance(alert.peak)
    others = kept.in_force(alert.job, "false", entity=alert.entity, connection=c)
    since = sum(f.shift or 0.0 for f in others if f.at_ms >= (alert.resolved_ms or alert.updated_ms))
    return max(needed - since, 0.0)


def _with_raised_line(scorer: Checkpoint, entity: str, by: float) -> State:
    """Return the state of calibration with the line of an entity so much higher."""
    from foreshock_models.calibration.calibrator import Calibrator

    return Calibrator.raise_line(State.from_bytes(scorer.model_state), entity, by)


def _calibrator(packed: dict[str, Any]) -> Calibrator:
    """Return the calibrator of a saved model, without its entities; loads nothing of the detector."""
    from foreshock_models.calibration.calibrator import Calibrator  # compiled code: at the first verdict

    return Calibrator.from_arrays({**packed, "entities": []}, {"calibration.state": np.zeros((0, 0))})
