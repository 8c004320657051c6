"""Rank the nodes of a system as the root cause of an incident, each with a reason.

With a call graph, a cause is looked for among the nodes that the symptom depends on, in metrics of the symptom's
kind: latency travels as latency along calls, errors as errors. Without a graph, all nodes and metrics count. A
ranking abstains where the symptom itself has not departed from what is usual: there is nothing to explain.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foreshock_models.rootcause.deviation import Departures, departures

__all__ = ["Evidence", "Metric", "RootCause", "rank_causes"]

CHANCE = 0.05
"""A symptom that departs as far in this share of quiet stretches, or in more, is none."""
REASONS = 3
"""Metrics that speak for a node, at most."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One column: the node that it is about, its kind (``latency``), and what tells it from others of that kind.

    A metric of a call from one node to another is about the node that is called.
    """

    node: str
    kind: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.detail}".strip()


@dataclass(frozen=True, slots=True)
class Evidence:
    """A metric that departed: its level before the onset, its farthest value, and how far in its own units."""

    metric: Metric
    before: float
    after: float
    departure: float


@dataclass(frozen=True, slots=True)
class RootCause:
    """A node, its largest departure, the metrics that speak for it, and a sentence."""

    node: str
    departure: float
    evidence: tuple[Evidence, ...]
    reason: str


def rank_causes(
    values: NDArray[np.float64],
    metrics: Sequence[Metric],
    onset: int,
    quiet: NDArray[np.float64],
    *,
    symptom: Metric | None = None,
    calls: Mapping[str, Collection[str]] | None = None,
    callers_view: Collection[str] = (),
) -> list[RootCause]:
    """Rank nodes by how far they departed at the onset, the most likely cause first; empty if it abstains.

    Parameters
    ----------
    values, onset, quiet
        See `departures`; `metrics` names the columns.
    symptom
        The metric that alerted. It is a cause only where nothing that it depends on departed.
    calls
        Node to the nodes that it calls.
    callers_view
        Nodes that are only seen by those who call them (a load balancer, an endpoint outside): evidence for a
        call, no cause.

    Examples
    --------
    >>> import numpy as np
    >>> quiet = np.random.default_rng(0).normal(1.0, 0.1, (200, 2))
    >>> rows = quiet[:12].copy()
    >>> rows[8:, 1] += 2.0
    >>> found = rank_causes(rows, [Metric("web", "latency"), Metric("db", "latency")], 8, quiet)
    >>> found[0].node
    'db'
    """
    found = departures(values, onset, quiet)
    if symptom is not None and not _departed(found, metrics, symptom):
        return []
    reachable = _reachable(calls, symptom.node) if calls is not None and symptom is not None else None
    by_node: dict[str, list[Evidence]] = {}
    for j, metric in enumerate(metrics):
        if np.isnan(found.size[j]) or metric.node in callers_view:
            continue
        if (
            reachable is not None
            and symptom is not None
            and (metric.node not in reachable or metric.kind != symptom.kind)
        ):
            continue
        evidence = Evidence(metric, float(found.before[j]), float(found.after[j]), float(found.size[j]))
        by_node.setdefault(metric.node, []).append(evidence)
    own = symptom.node if symptom is not None and len(by_node) > 1 else None
    ranked = [_cause(node, evidence, reachable) for node, evidence in by_node.items()]
    return sorted(ranked, key=lambda cause: (cause.node == own and calls is not None, -cause.departure))


def _departed(found: Departures, metrics: Sequence[Metric], symptom: Metric) -> bool:
    """True if the symptom is rare among quiet stretches; a symptom without a unit is taken at its word."""
    places = [j for j, metric in enumerate(metrics) if metric == symptom]
    known = [j for j in places if not np.isnan(found.size[j])]
    return not known or any(found.rare[j] < CHANCE for j in known)


def _reachable(calls: Mapping[str, Collection[str]], start: str) -> set[str]:
    """`start` and all that it calls, directly or not."""
    seen = {start}
    waiting = [start]
    while waiting:
        for callee in calls.get(waiting.pop(), ()):
            if callee not in seen:
                seen.add(callee)
                waiting.append(callee)
    return seen


def _cause(node: str, evidence: list[Evidence], reachable: set[str] | None) -> RootCause:
    strongest = sorted(evidence, key=lambda each: -each.departure)[:REASONS]
    return RootCause(node, strongest[0].departure, tuple(strongest), _sentence(node, strongest, reachable))


def _sentence(node: str, evidence: list[Evidence], reachable: set[str] | None) -> str:
    where = "" if reachable is None else ", which the symptom depends on,"
    return f"{node}{where} departed at the onset: {'; '.join(_changes(evidence))}"


def _changes(evidence: list[Evidence]) -> Iterator[str]:
    for each in evidence:
        change = f"{each.before:.3g} to {each.after:.3g}"
        yield f"{each.metric} {change} ({each.departure:.1f} times its usual change)"
