"""Call graph of a system: which nodes depend on which."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

__all__ = ["Relation", "Topology"]

HOPS = 3
"""Calls that a fault is followed along."""
BUSY = 20
"""Calls to and from a node that many use."""
MOST = 10_000
"""Related nodes of one node, at most."""


class Relation(NamedTuple):
    """How a node is related to another one: in so many calls, and in words."""

    hops: int
    text: str


class Topology:
    """A call graph, merged from those of all jobs.

    Parameters
    ----------
    calls
        Node to the nodes that it calls.
    """

    def __init__(self, calls: Mapping[str, Collection[str]] | None = None) -> None:
        self.calls: dict[str, set[str]] = defaultdict(set)
        self.callers: dict[str, set[str]] = defaultdict(set)
        self._related: dict[str, dict[str, Relation]] = {}
        for node, callees in (calls or {}).items():
            for callee in callees:
                self.calls[node].add(callee)
                self.callers[callee].add(node)

    @classmethod
    def union(cls, graphs: Iterable[Mapping[str, Collection[str]]]) -> Topology:
        """One graph with the calls of all."""
        merged: dict[str, set[str]] = defaultdict(set)
        for graph in graphs:
            for node, callees in graph.items():
                merged[node] |= set(callees)
        return cls(merged)

    def knows(self, node: str) -> bool:
        return node in self.calls or node in self.callers

    def related(self, node: str) -> dict[str, Relation]:
        """Nodes within `HOPS` calls of `node`, in whatever direction, with the nearest relation.

        A fault travels up to callers, as errors and latency, and from there down to other callees, as load. It is
        not followed through a node that `BUSY` others call or that calls so many: what all use relates nobody.
        """
        found = self._related.get(node)
        if found is None:
            found = {node: Relation(0, f"the same node, {node}")}
            front = [node]
            for hops in range(1, HOPS + 1):
                front = [other for each in front for other in self._next(each, node, hops, found)]
                if len(found) > MOST:
                    break
            self._related[node] = found
        return found

    def _next(self, node: str, start: str, hops: int, found: dict[str, Relation]) -> list[str]:
        callees, callers = self.calls.get(node, set()), self.callers.get(node, set())
        if hops > 1 and len(callees) + len(callers) > BUSY:
            return []
        new = []
        for others, down in ((callees, True), (callers, False)):
            for other in sorted(others):
                if other not in found:
                    found[other] = Relation(hops, _words(found[node].text, start, node, other, down=down))
                    new.append(other)
        return new


def _words(before: str, start: str, via: str, other: str, *, down: bool) -> str:
    word = "depends on" if down else "is called by"
    if via == start or before.startswith(word):
        return f"{word} {other}"
    return f"{other} is near, by {via}"
