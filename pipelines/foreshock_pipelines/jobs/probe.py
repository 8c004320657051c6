"""Probe: run each query of a job once, and check the series that it returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from foreshock_models.errors import SourceError, allowed
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.prometheus.promql import by
from foreshock_pipelines.sources import open_source

__all__ = ["Answer", "check_series", "probe"]

HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Answer:
    """The present result of one query.

    ``key``: its key in the job file; ``series``, ``entities``: their numbers; ``missing``: entity labels that some
    series lack; ``problem``: the reason for which the job cannot use it, or None.
    """

    key: str
    series: int = 0
    entities: int = 0
    missing: tuple[str, ...] = ()
    problem: str | None = None


def probe(job: Job) -> list[Answer]:
    """Run each query of a job; return one answer a query, or one for a source that cannot be used at all."""
    try:
        source = open_source(job)
        source.check()
        if job.source.prometheus is None:
            return [_discovered(name, count) for name, count in source.discover().items()]
    except SourceError as exc:
        return [Answer("source", problem=str(exc))]
    at = round(source.latest().timestamp() * 1000)
    answers = [_query(job, name, at) for name in job.queries]
    return [*answers, _topology(job, at)] if job.topology is not None and job.topology.metric else answers


def _discovered(name: str, entities: int) -> Answer:
    problem = None if entities else "the source has no sample of it"
    return Answer(f"queries.{name}", entities, entities, problem=problem)


def _query(job: Job, name: str, at_ms: int) -> Answer:
    """Read one point of a range, as jobs read."""
    from foreshock_pipelines.prometheus.client import PrometheusClient
    from foreshock_pipelines.prometheus.decode import decode

    key = f"queries.{name}"
    client = PrometheusClient(job.source)
    try:
        answer = client.query_range(job.queries[name].query, at_ms, at_ms, job.step_seconds)
        found = decode(answer.body)
    except SourceError as exc:
        return Answer(key, problem=str(exc))
    if answer.partial:
        return Answer(key, len(found.labels), problem=f"the answer is partial: {answer.partial[0]}")
    return check_series(key, found.labels, job.entity)


def _topology(job: Job, at_ms: int) -> Answer:
    """Read the calls of the last hour."""
    from foreshock_pipelines.prometheus.service_graph import read_calls

    key = "topology.metric"
    try:
        calls = read_calls(job, at_ms - HOUR_MS, at_ms)
    except SourceError as exc:
        return Answer(key, problem=str(exc))
    nodes = {node for call in calls for node in call}
    problem = None if calls else "shows no call of the last hour; is the metric named right, and scraped?"
    return Answer(key, len(calls), len(nodes), problem=problem)


def check_series(key: str, series: Sequence[Mapping[str, str]], entity: Sequence[str]) -> Answer:
    """Check by their labels that there is one series for each entity."""
    if not series:
        return Answer(key, problem="gives no series at present; is the metric named right, and scraped?")
    missing = tuple(label for label in entity if any(label not in labels for labels in series))
    entities = {tuple(labels.get(label, "") for label in entity) for labels in series}
    problem = None
    if missing:
        lacking = sum(missing[0] not in labels for labels in series)
        there = sorted({name for labels in series for name in labels} - {"__name__", *missing})
        other = f", or name another in entity: {allowed(missing[0], there)}" if there else ""
        problem = (
            f"the entity label {missing[0]!r} is missing on {lacking} of {len(series)} series; keep it in the "
            f"query, as in sum {by(entity)} (...){other}"
        )
    elif len(entities) < len(series):
        differ = sorted({name for labels in series for name in labels} - set(entity) - {"__name__"})
        problem = (
            f"gives {len(series)} series for {len(entities)} entities, which differ in {', '.join(differ)}; "
            f"aggregate, as in sum {by(entity)} (...), or add a label to entity"
        )
    return Answer(key, len(series), len(entities), missing, problem)
