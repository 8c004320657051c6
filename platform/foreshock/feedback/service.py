"""Feedback on alerts and its effects: calibration, training data, labels."""

from __future__ import annotations

import time
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
from foreshock.feedback.repository import VERDICTS, Feedback, FeedbackRepository
from foreshock.logs import get_logger
from foreshock.scoring.checkpoint import Checkpoint, CheckpointRepository
from foreshock.silences.repository import SilenceRepository
from foreshock.store.scope import Scope, within
from foreshock.store.store import Store
from foreshock_models.errors import ConfigError, StateError, allowed
from foreshock_models.state import State
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.registry import Registry

if TYPE_CHECKING:
    from foreshock_models.calibration.calibrator import Calibrator
    from foreshock_pipelines.datasets.labels import Intervals
    from foreshock_pipelines.training.exclusions import Exclusion

__all__ = ["confirmed", "exclusions", "give", "meaning", "parse_interval", "tolerances", "undo"]

log = get_logger("feedback")


def give(
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
    """Take up what a person says of an alert.

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
            by = _raise_for(kept, registry, alert, scorer.version, c)
            model = _raised(scorer, alert.entity, by)
            CheckpointRepository(store).save(
                c, job, replace(scorer, model_state=model.to_bytes(), revision=scorer.revision + 1)
            )
            feedback = replace(feedback, shift=by)
        kept.add(c, feedback)
        AlertRepository(store).add_history(
            alert.id, f"feedback {verdict}", who=who, why=meaning(feedback), at_ms=now_ms, c=c
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


def undo(store: Store, alert_id: str, *, who: str, now_ms: int) -> Feedback:
    """Take back what was said last of an alert; it stays in its history.

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
            model = _raised(scorer, last.entity, -last.shift)
            CheckpointRepository(store).save(
                c, job, replace(scorer, model_state=model.to_bytes(), revision=scorer.revision + 1)
            )
        kept.undo(c, last.id, now_ms)
        why = f"{last.verdict} by {last.who} is taken back"
        AlertRepository(store).add_history(alert_id, "feedback undone", who=who, why=why, at_ms=now_ms, c=c)
        record(store, c, "feedback:undo", alert_id, verdict=last.verdict, who=who)
    return replace(last, undone_ms=now_ms)


def tolerances(store: Store, job: str, since_ms: int = 0) -> dict[str, float]:
    """How far false alarms have raised the line of each entity, in its spreads: for a model that is new."""
    found: dict[str, float] = {}
    for given in FeedbackRepository(store).in_force(job, "false"):
        if given.shift and given.at_ms >= since_ms:
            found[given.entity] = found.get(given.entity, 0.0) + given.shift
    return found


def exclusions(store: Store, job: Job, *, confirmed: bool = True) -> list[Exclusion]:
    """Rows of a job that must not be learnt from: excluded by people, confirmed as anomalies, or in a silence.

    Parameters
    ----------
    confirmed
        False for what takes confirmed anomalies as labels, and so needs their rows.
    """
    with within(Scope(job.tenant)):
        return _exclusions(store, job, confirmed)


def _exclusions(store: Store, job: Job, confirmed: bool) -> list[Exclusion]:
    from foreshock_pipelines.training.exclusions import Exclusion

    kept = FeedbackRepository(store)
    given = kept.in_force(job.name, "exclude") + (kept.in_force(job.name, "true") if confirmed else [])
    found = [Exclusion(f.entity, f.start_ms, f.end_ms) for f in given]
    now = round(time.time() * 1000)
    for silence in SilenceRepository(store).since(0):
        if silence.exclude and (problem := silence.problem()) is not None:
            log.error("silence is unusable: its rows are learnt from", silence=silence.id, why=problem)
        elif silence.exclude:
            found += silence.exclusions(job.name, job.entity, silence.start_ms, max(now, silence.start_ms))
    return found


def confirmed(store: Store, job: str) -> Intervals:
    """Anomalies that people confirmed, as labels: entity to first and last time of each."""
    found: dict[str, list[tuple[datetime, datetime]]] = {}
    for given in FeedbackRepository(store).in_force(job, "true"):
        interval = tuple(datetime.fromtimestamp(ms / 1000, UTC) for ms in (given.start_ms, given.end_ms))
        found.setdefault(given.entity, []).append((interval[0], interval[1]))
    return found


def _raise_for(kept: FeedbackRepository, registry: Registry, alert: Alert, version: str, c: Connection) -> float:
    """How far to raise the line for an alert, less what was done since it: that was of other false alarms."""
    packed = registry.get(alert.job, version).manifest["model"]["calibration"]
    needed = _calibrator(packed).tolerance(alert.peak)
    others = kept.in_force(alert.job, "false", entity=alert.entity, connection=c)
    since = sum(f.shift or 0.0 for f in others if f.at_ms >= (alert.resolved_ms or alert.updated_ms))
    return max(needed - since, 0.0)


def _raised(scorer: Checkpoint, entity: str, by: float) -> State:
    """State of calibration, with the line of an entity so much higher."""
    from foreshock_models.calibration.calibrator import Calibrator

    return Calibrator.raise_line(State.from_bytes(scorer.model_state), entity, by)


def _calibrator(packed: dict[str, Any]) -> Calibrator:
    """The line of a saved model, without its entities: nothing of the detector need be loaded."""
    from foreshock_models.calibration.calibrator import Calibrator  # compiled code: at the first verdict

    return Calibrator.from_arrays({**packed, "entities": []}, {"calibration.state": np.zeros((0, 0))})


def meaning(feedback: Feedback) -> str:
    """The effects, in words."""
    times = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (feedback.start_ms, feedback.end_ms))
    span = " to ".join(f"{time:%Y-%m-%d %H:%M}" for time in times)
    meaning = {
        "false": "the line of its entity is raised" if feedback.shift else "the line stays as it is",
        "true": f"an anomaly, {span} UTC",
        "exclude": f"rows from {span} UTC are not learnt from",
    }[feedback.verdict]
    return f"{meaning}: {feedback.note}" if feedback.note else meaning
