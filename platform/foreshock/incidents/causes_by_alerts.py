"""Ranked root causes of an incident, from its alerts and the call graph.

A fault travels from a node to those that call it. So a node that departs, while nothing that it depends on does,
comes first; among several, the one that departed first and furthest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from foreshock.alerts.model import Alert
from foreshock.incidents.topology import Topology

__all__ = ["ranked"]

MOST = 5
"""Causes that an incident names."""
METRICS = 3
"""Metrics that speak for a cause."""


def ranked(alerts: Sequence[tuple[str, Alert]], topology: Topology) -> list[dict[str, Any]]:
    """Rank the nodes of alerts as root causes, each with a sentence and the metrics that speak for it.

    Parameters
    ----------
    alerts
        Pairs of a node and an alert of it.
    """
    by_node: dict[str, list[Alert]] = {}
    for node, alert in alerts:
        by_node.setdefault(node, []).append(alert)
    callees = {node: _alerting_callees(node, by_node, topology) for node in by_node}

    def order(node: str) -> tuple[Any, ...]:
        first = min(alert.opened_ms for alert in by_node[node])
        return bool(callees[node]), first, -max(alert.peak for alert in by_node[node]), node

    first_ms = min((alert.opened_ms for _, alert in alerts), default=0)
    return [_cause(node, by_node[node], callees[node], first_ms, topology) for node in sorted(by_node, key=order)][
        :MOST
    ]


def _alerting_callees(node: str, by_node: dict[str, list[Alert]], topology: Topology) -> list[str]:
    """Nodes with an alert that `node` calls, directly or by nodes without one; not those that call it, too."""
    found, seen = [], {node}
    waiting = sorted(topology.calls.get(node, ()))
    while waiting:
        other = waiting.pop()
        if other in seen:
            continue
        seen.add(other)
        if other in by_node:
            found.append(other)
        else:
            waiting += sorted(topology.calls.get(other, ()))
    return [other for other in sorted(found) if node not in topology.calls.get(other, ())]


def _cause(node: str, alerts: list[Alert], callees: list[str], first_ms: int, topology: Topology) -> dict[str, Any]:
    metrics = [cause for alert in alerts for cause in alert.causes]
    metrics = sorted(metrics, key=lambda cause: -(cause.get("share") or 0.0))[:METRICS]
    told = "; ".join(filter(None, map(_change, metrics))) or alerts[0].summary
    began = min(alert.opened_ms for alert in alerts)
    when = "first" if began == first_ms else f"{round((began - first_ms) / 1000)} s after the first"
    if callees:
        place = f", and depends on {', '.join(callees[:METRICS])}"
    else:
        place = ", and nothing that it depends on does" if topology.calls.get(node) else ""
    return {"node": node, "reason": f"{node} departed {when}{place}: {told}", "metrics": metrics}


def _change(cause: dict[str, Any]) -> str:
    if cause.get("observed") is None or cause.get("expected") is None:
        return str(cause.get("feature", ""))
    return f"{cause['feature']} {cause['observed']:.4g}, usual {cause['expected']:.4g}"
