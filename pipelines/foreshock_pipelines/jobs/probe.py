"""Probe: ask the source of a job each of its queries once, and say what it gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from foreshock_models.errors import SourceError, allowed
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.prometheus.promql import by
from foreshock_pipelines.sources import open_source

__all__ = ["Answer", "judge", "probe"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one query gives at present.

    ``key``: of the job file; ``series`` and ``entities``: how many; ``missing``: entity labels that some series
    lack; ``problem``: why the job cannot work with it, or None.
    """

    key: str
    series: int = 0
    entities: int = 0
    missing: tuple[str, ...] = ()
    problem: str | None = None


def probe(job: Job) -> list[Answer]:
    """Ask each query of a job; one answer a query, or one for a source that cannot be asked at all."""
    try:
        source = open_source(job)
        source.check()
        if job.source.prometheus is None:
            return [_of_file(name, count) for name, count in source.discover().items()]
    except SourceError as exc:
        return [Answer("source", problem=str(exc))]
    return [_ask(job, name) for name in job.queries]


def _of_file(name: str, entities: int) -> Answer:
    problem = None if entities else "the file has no sample of it"
    return Answer(f"queries.{name}", entities, entities, problem=problem)


def _ask(job: Job, name: str) -> Answer:
    from foreshock_pipelines.prometheus.client import PrometheusClient
    from foreshock_pipelines.prometheus.decode import decode_instant

    key = f"queries.{name}"
    try:
        found = decode_instant(PrometheusClient(job.source).query(job.queries[name].query).body)
    except SourceError as exc:
        return Answer(key, problem=str(exc))
    if any("value" not in series for series in found):
        return Answer(
            key, problem="gives native histograms; make numbers of them, as by histogram_quantile(0.99, ...)"
        )
    return judge(key, [series["metric"] for series in found], job.entity)


def judge(key: str, series: Sequence[Mapping[str, str]], entity: Sequence[str]) -> Answer:
    """Say whether series, by their labels, are one for each entity."""
    if not series:
        return Answer(key, problem="gives no series at present; is the metric named right, and scraped?")
    missing = tuple(label for label in entity if any(label not in labels for labels in series))
    entities = {tuple(labels.get(label, "") for label in entity) for labels in series}
    problem = None
    if missing:
        lacking = sum(missing[0] not in labels for labels in series)
        there = sorted({name for labels in series for name in labels} - {"__name__", *missing})
        problem = (
            f"the entity label {missing[0]!r} is missing on {lacking} of {len(series)} series; keep it in the "
            f"query, as in sum {by(entity)} (...), or name another in entity: {allowed(missing[0], there)}"
        )
    elif len(entities) < len(series):
        differ = sorted({name for labels in series for name in labels} - set(entity) - {"__name__"})
        problem = (
            f"gives {len(series)} series for {len(entities)} entities, which differ in {', '.join(differ)}; "
            f"aggregate, as in sum {by(entity)} (...), or add a label to entity"
        )
    return Answer(key, len(series), len(entities), missing, problem)
