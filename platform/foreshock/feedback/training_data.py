"""The effects of feedback on later models: raised lines, excluded rows, labels."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from foreshock.feedback.repository import FeedbackRepository
from foreshock.logs import get_logger
from foreshock.silences.repository import SilenceRepository
from foreshock.store.scope import Scope, within
from foreshock.store.store import Store
from foreshock_pipelines.jobfile import Job

if TYPE_CHECKING:
    from foreshock_pipelines.datasets.labels import Intervals
    from foreshock_pipelines.training.exclusions import Exclusion

__all__ = ["confirmed_anomalies", "exclusions", "tolerances"]

log = get_logger("feedback")


def tolerances(store: Store, job: str, since_ms: int = 0) -> dict[str, float]:
    """Return how far false alarms have raised the line of each entity, in its spreads: for a new model."""
    found: dict[str, float] = {}
    for given in FeedbackRepository(store).in_force(job, "false"):
        if given.shift and given.at_ms >= since_ms:
            found[given.entity] = found.get(given.entity, 0.0) + given.shift
    return found


def exclusions(store: Store, job: Job, *, confirmed: bool = True) -> list[Exclusion]:
    """Return the rows of a job that no model may learn from: excluded, confirmed as anomalies, or in a silence.

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
    for silence in SilenceRepository(store).unexpired(0):
        if silence.exclude and (problem := silence.problem()) is not None:
            log.error("silence is unusable: its rows are learnt from", silence=silence.id, why=problem)
        elif silence.exclude:
            found += silence.exclusions(job.name, job.entity, silence.start_ms, max(now, silence.start_ms))
    return found


def confirmed_anomalies(store: Store, job: str) -> Intervals:
    """Return the anomalies that people confirmed, as labels: entity to first and last time of each."""
    found: dict[str, list[tuple[datetime, datetime]]] = {}
    for given in FeedbackRepository(store).in_force(job, "true"):
        interval = tuple(datetime.fromtimestamp(ms / 1000, UTC) for ms in (given.start_ms, given.end_ms))
        found.setdefault(given.entity, []).append((interval[0], interval[1]))
    return found
