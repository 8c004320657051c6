"""Which entities, and which single series of entities that go on sending others, have fallen silent."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from foreshock.alerts.findings import Finding
from foreshock_models.policy import Policy, last_samples
from foreshock_models.state import State
from foreshock_pipelines.jobfile import Job, format_duration

__all__ = ["Absences", "absences"]


@dataclass(frozen=True, slots=True)
class Absences:
    """What is silent at present, and what has been for so long that it is taken as decommissioned."""

    silent: list[Finding]
    gone: list[str]
    gone_series: list[tuple[str, str]]


def absences(job: Job, state: State, now_ms: int) -> Absences:
    """Look for silence of more than ``absent_after`` at `now_ms`, the time of the newest row.

    An entity that is silent as a whole is one finding, whatever its series; a series is missed only while its
    entity sends others, as of the last two steps.
    """
    after = job.alerts.absent_after
    limit = after.total_seconds() * 1000 if after is not None else math.inf  # it is forgotten all the same
    forget = job.alerts.forget_after.total_seconds() * 1000
    step = round(job.step_seconds * 1000)
    silent: list[Finding] = []
    gone: list[str] = []
    gone_series: list[tuple[str, str]] = []
    series = last_samples(state)
    for entity, seen in Policy.last_seen(state).items():
        quiet = now_ms - seen
        if not seen:
            continue
        if quiet > forget:
            gone.append(entity)
        elif quiet > limit:
            silent.append(_finding(job, entity, "", seen, quiet))
        elif quiet <= 2 * step:
            for feature, last in _older(series[entity], now_ms - limit):
                if now_ms - last > forget:
                    gone_series.append((entity, feature))
                else:
                    silent.append(_finding(job, entity, feature, last, now_ms - last))
    return Absences(silent, gone, gone_series)


def _older(seen: dict[str, int], before_ms: float) -> Iterator[tuple[str, int]]:
    return ((feature, last) for feature, last in seen.items() if 0 < last < before_ms)


def _finding(job: Job, entity: str, feature: str, seen_ms: int, quiet_ms: int) -> Finding:
    what = f"no {feature}" if feature else "nothing"
    limit = format_duration(job.alerts.absent_after or job.step)
    return Finding(
        entity,
        seen_ms + round(job.step_seconds * 1000),
        f"{entity} ({job.name}) has sent {what} for {round(quiet_ms / 60000)} min",
        f"no sample since {round(quiet_ms / 1000)} s; the limit is {limit}",
        feature=feature,
    )
