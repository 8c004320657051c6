"""Find entities, and single series of entities that go on sending others, that have fallen silent."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from foreshock.alerts.findings import Finding
from foreshock_models.policy import Policy, last_samples, record_samples, with_series
from foreshock_models.state import State
from foreshock_pipelines.jobfile import Job, format_duration

if TYPE_CHECKING:
    from foreshock_pipelines.scoring.scored_rows import ScoredRows

__all__ = ["Absences", "absences", "absences_in", "is_back"]


@dataclass(frozen=True, slots=True)
class Absences:
    """Entities that are silent at present, and those that are taken as decommissioned after long silence."""

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


def is_back(job: Job, state: State, entity: str, feature: str, now_ms: int) -> bool:
    """Return true if an entity, or one series of it, has sent a sample within ``absent_after`` of `now_ms`."""
    after = job.alerts.absent_after
    seen = (
        last_samples(state).get(entity, {}).get(feature, 0) if feature else Policy.last_seen(state).get(entity, 0)
    )
    return after is None or now_ms - seen <= after.total_seconds() * 1000


def absences_in(
    job: Job, scored: ScoredRows, policy_state: State, known: Iterable[str], first_ms: int
) -> tuple[list[Finding], str | None]:
    """Look for silence at the end of rows that were scored once, from `first_ms` on; or say why that is not judged.

    Parameters
    ----------
    policy_state
        State of the policy after these rows.
    known
        Entities of the model: one that has no row at all is absent, too.
    """
    limit, end = job.alerts.absent_after, scored.last_ms
    if limit is None:
        return [], "the job file has alerts: {absent_after: null}"
    if scored.partial:
        return [], f"the source gave a partial answer: {scored.partial[0]}"
    if end - first_ms < limit.total_seconds() * 1000:
        return [], f"the stretch is shorter than the {format_duration(limit)} of alerts.absent_after"
    panel = scored.panel
    state = State(
        panel.entities, {**policy_state.arrays, **record_samples(with_series(State(), panel.features), panel)}
    )
    seen = {entity for entity, at in Policy.last_seen(state).items() if at}
    silent = [entity for entity in dict.fromkeys([*panel.entities, *known]) if entity not in seen]
    never = [_finding(job, entity, "", first_ms, end - first_ms) for entity in silent]
    at_least = [
        replace(one, summary=one.summary.replace(" nothing for ", " nothing for at least ")) for one in never
    ]
    return [*absences(job, state, end).silent, *at_least], None


def _older(seen: dict[str, int], before_ms: float) -> Iterator[tuple[str, int]]:
    return ((feature, last) for feature, last in seen.items() if 0 < last < before_ms)


def _finding(job: Job, entity: str, feature: str, seen_ms: int, quiet_ms: int) -> Finding:
    what = f"no {feature}" if feature else "nothing"
    limit = format_duration(job.alerts.absent_after or job.step)
    return Finding(
        entity,
        seen_ms + round(job.step_seconds * 1000),
        f"{entity} ({job.name}) has sent {what} for {round(quiet_ms / 60000)} min",
        f"no sample for {format_duration(timedelta(milliseconds=quiet_ms))}; the limit is {limit}",
        feature=feature,
    )
