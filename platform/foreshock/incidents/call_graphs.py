"""Call graphs of jobs: what their files say, and what service-graph metrics show.

A metric is read every few minutes, each time from where the last reading ended. Calls stay in the store, so that a
restart, or a Prometheus that is down, takes nothing away; one that is no longer counted is forgotten after a while.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa

from foreshock.logs import Condition, get_logger
from foreshock.store import tables as t
from foreshock.store.scope import Scope, within
from foreshock.store.store import Store
from foreshock_models.errors import ForeshockError
from foreshock_pipelines.jobfile import Job, TopologyConfig
from foreshock_pipelines.prometheus.service_graph import read_calls

__all__ = ["CallGraphs"]

EVERY_MS = 300_000
OVERLAP_MS = 120_000
"""Counters that were scraped late are read once more."""
FIRST_MS = 86_400_000
"""The first reading looks back so far, and a later one no further."""
WRITES = 20
"""A call that goes on is written so often within the time that it is kept."""

Call = tuple[str, str]
log = get_logger("incidents")


@dataclass
class _Graph:
    """Calls of one job that are known, under the `topology` of its file at that time."""

    topology: TopologyConfig
    seen_ms: dict[Call, int] = field(default_factory=dict)
    calls: dict[str, list[str]] = field(default_factory=dict)
    read_ms: int = 0
    next_ms: int = 0
    failing: Condition = field(
        default_factory=lambda: Condition(log, "service graph not read", "service graph read again")
    )


class CallGraphs:
    """Call graphs of the jobs of an installation.

    Parameters
    ----------
    jobs
        Gives the jobs in force.
    read
        Reads the calls of a job within a time range, ms since the epoch.
    """

    def __init__(
        self,
        store: Store,
        jobs: Callable[[], Mapping[str, Job]],
        read: Callable[[Job, int, int], Iterable[Call]] = read_calls,
    ) -> None:
        self.store = store
        self._jobs = jobs
        self._read = read
        self._graphs: dict[str, _Graph] = {}
        self._lock = threading.Lock()

    def of(self, job: Job) -> dict[str, list[str]]:
        """Node to the nodes that it calls, in a job; the same object until the graph changes."""
        if job.topology is None:
            return {}
        if job.topology.metric is None:
            return job.topology.calls
        return self._graph(job).calls

    def run(self, now_ms: int) -> None:
        """Read the metrics that are due."""
        for job in self._jobs().values():
            if job.topology is None or job.topology.metric is None:
                continue
            graph = self._graph(job)
            if graph.next_ms - EVERY_MS <= now_ms < graph.next_ms:
                continue
            graph.next_ms = now_ms + EVERY_MS
            try:
                self._refresh(job, graph, now_ms)
            except ForeshockError as exc:  # the graph that is known stays
                graph.failing.raised(f"{job.name}: {exc}")
            else:
                graph.failing.cleared()

    def _refresh(self, job: Job, graph: _Graph, now_ms: int) -> None:
        start = max(graph.read_ms - OVERLAP_MS, now_ms - FIRST_MS)
        if graph.read_ms > now_ms:  # the clock has been set back
            start = now_ms - FIRST_MS
        found = set(self._read(job, start, now_ms))
        keep_ms = round(graph.topology.keep.total_seconds() * 1000)
        stale = [call for call in found if now_ms - graph.seen_ms.get(call, 0) >= keep_ms // WRITES]
        gone = [call for call, at in graph.seen_ms.items() if call not in found and at < now_ms - keep_ms]
        with within(Scope(job.tenant)), self.store.begin() as c:
            c_ = t.calls.c
            values = [{"job": job.name, "caller": a, "callee": b, "seen_ms": now_ms} for a, b in stale]
            if values:
                insert = self.store.insert(t.calls)
                c.execute(
                    insert.on_conflict_do_update(
                        index_elements=["job", "caller", "callee"], set_={"seen_ms": insert.excluded.seen_ms}
                    ),
                    values,
                )
            c.execute(sa.delete(t.calls).where(c_.job == job.name, c_.seen_ms < now_ms - keep_ms))
        graph.seen_ms.update(dict.fromkeys(stale, now_ms))
        for call in gone:
            del graph.seen_ms[call]
        graph.read_ms = now_ms
        _rebuild(graph)

    def _graph(self, job: Job) -> _Graph:
        with self._lock:
            found = self._graphs.get(job.name)
            if found is None or found.topology != job.topology:
                found = self._graphs[job.name] = self._load(job)
            return found

    def _load(self, job: Job) -> _Graph:
        assert job.topology is not None
        c_ = t.calls.c
        graph = _Graph(job.topology)
        with within(Scope(job.tenant)), self.store.begin() as c:
            for caller, callee, at in c.execute(
                sa.select(c_.caller, c_.callee, c_.seen_ms).where(c_.job == job.name)
            ):
                graph.seen_ms[caller, callee] = at
        graph.read_ms = max(graph.seen_ms.values(), default=0)
        _rebuild(graph)
        return graph


def _rebuild(graph: _Graph) -> None:
    """Put what the file says and what was counted together; the object stays if both are as before."""
    made = {node: set(callees) for node, callees in graph.topology.calls.items()}
    for caller, callee in graph.seen_ms:
        made.setdefault(caller, set()).add(callee)
    calls = {node: sorted(callees) for node, callees in sorted(made.items())}
    if calls != graph.calls:
        graph.calls = calls
