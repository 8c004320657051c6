"""Calls between services, from a service-graph metric as Tempo, OpenTelemetry and Beyla write it.

``traces_service_graph_request_total{client="web", server="api"}`` counts the calls from web to api.
"""

from __future__ import annotations

from datetime import UTC, datetime

from foreshock_models.errors import QueryError
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.jobfile.topology import MOST_CALLS
from foreshock_pipelines.prometheus.client import PrometheusClient
from foreshock_pipelines.prometheus.decode import decode_instant

__all__ = ["calls_query", "read_calls"]

MOST_NAME = 512


def calls_query(job: Job, seconds: int) -> str:
    """PromQL for the calls that were counted within some seconds.

    A counter that was there before and stands still shows no call. One that is new does, though `increase` of it
    is 0: it began above 0.
    """
    assert job.topology is not None and job.topology.metric is not None
    metric, labels = job.topology.metric, f"{job.topology.caller}, {job.topology.callee}"
    still = f"increase({metric}[{seconds}s]) == 0 and {metric} offset {seconds}s"
    return f"count by ({labels}) (last_over_time({metric}[{seconds}s]) > 0 unless ({still}))"


def read_calls(job: Job, start_ms: int, end_ms: int) -> set[tuple[str, str]]:
    """Read the pairs of caller and callee that were counted within a time range; a node that calls itself is left
    out.

    Raises
    ------
    SourceUnavailable
        Prometheus does not answer.
    QueryError
        It refuses the query, or there are more calls than are taken.
    """
    assert job.topology is not None
    client = PrometheusClient(job.source)
    query = calls_query(job, max(1, (end_ms - start_ms) // 1000))
    series = decode_instant(client.query(query, datetime.fromtimestamp(end_ms / 1000, UTC)).body)
    if len(series) > MOST_CALLS:
        raise QueryError(
            f"topology.metric has {len(series):,} calls; at most {MOST_CALLS:,} are taken; narrow it by a selector"
        )
    names = (job.topology.caller, job.topology.callee)
    found = {(one["metric"].get(names[0], ""), one["metric"].get(names[1], "")) for one in series}
    if series and found == {("", "")}:
        raise QueryError(f"topology.metric has no labels {names[0]} and {names[1]}; set `caller` and `callee`")
    return {(a, b) for a, b in found if a and b and a != b and len(a) <= MOST_NAME and len(b) <= MOST_NAME}
