"""Correlation of alerts: which alerts belong to one incident, decided as they come, each time with a reason.

An alert is held against the incidents that were active shortly before or after it. Evidence for belonging together
is a place nearby in the call graph, labels that few others have, the same job, and similar causes; it fades with
the time between them. Where both nodes are in the call graph and neither depends on the other, that is evidence
against it. An alert that belongs to several incidents shows that they are one.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from foreshock.incidents.topology import Topology

__all__ = ["ActiveIncident", "AlertFacts", "CorrelationWindow", "Correlator", "Placement"]

BY_HOPS = (1.0, 0.9, 0.75, 0.6)
"""Evidence of a related node, by calls in between."""
SAME_JOB, LABELS, CAUSES = 0.55, 0.5, 0.35
"""Evidence of the same job, of shared labels that are rare, and of equal causes."""
UNRELATED = -0.6
"""Evidence of nodes that are in the call graph, without dependence on each other."""
ENOUGH = 0.4
"""Evidence from which on an alert joins."""
CANDIDATES = 16
"""Incidents that one alert is held against, at most, of each neighbour, label and job: the latest ones."""


Rare = tuple[float, tuple[str, str]]
"""How rare a label is, and its name and value."""


@dataclass(frozen=True, slots=True)
class CorrelationWindow:
    """Limits in time.

    Attributes
    ----------
    window : ms; an incident takes in alerts that come so long after its last one, or before its first
    steps : the same in steps of the alert's job, where that is longer
    longest : ms; from its first alert on, an incident takes in alerts for so long
    """

    window: int = 5 * 60_000
    steps: float = 2.0
    longest: int = 3_600_000

    def window_of(self, step_ms: int) -> int:
        """The window of alerts of jobs with steps of so many ms, or shorter."""
        return max(self.window, round(self.steps * step_ms))


@dataclass(frozen=True, slots=True)
class AlertFacts:
    """One alert, as far as correlation looks at it; `causes` are features with their shares."""

    id: str
    at_ms: int
    node: str
    job: str
    labels: Mapping[str, str] = field(default_factory=dict)
    causes: Mapping[str, float] = field(default_factory=dict)
    step_ms: int = 60_000


@dataclass(frozen=True, slots=True)
class Placement:
    """The incident of an alert, why, and which incidents are now one with it."""

    group: str
    new: bool
    why: str
    absorbed: tuple[str, ...] = ()


@dataclass(slots=True)
class ActiveIncident:
    """An active incident, summed up: work per alert does not grow with its size."""

    id: str
    first_ms: int
    last_ms: int
    size: int = 0
    nodes: dict[str, int] = field(default_factory=dict)
    jobs: Counter[str] = field(default_factory=Counter)
    labels: Counter[tuple[str, str]] = field(default_factory=Counter)
    causes: dict[str, float] = field(default_factory=dict)
    step_ms: int = 0
    apart: bool = False

    def add(self, signal: AlertFacts) -> None:
        self.first_ms = min(self.first_ms, signal.at_ms)
        self.last_ms = max(self.last_ms, signal.at_ms)
        self.size += 1
        self.step_ms = max(self.step_ms, signal.step_ms)
        self.nodes[signal.node] = max(self.nodes.get(signal.node, signal.at_ms), signal.at_ms)
        self.jobs[signal.job] += 1
        self.labels.update(signal.labels.items())
        for feature, share in signal.causes.items():
            self.causes[feature] = self.causes.get(feature, 0.0) + share

    def take(self, other: ActiveIncident) -> None:
        """Become one with another."""
        self.first_ms, self.last_ms = min(self.first_ms, other.first_ms), max(self.last_ms, other.last_ms)
        self.size += other.size
        self.step_ms = max(self.step_ms, other.step_ms)
        for node, at in other.nodes.items():
            self.nodes[node] = max(self.nodes.get(node, at), at)
        self.jobs.update(other.jobs)
        self.labels.update(other.labels)
        for feature, share in other.causes.items():
            self.causes[feature] = self.causes.get(feature, 0.0) + share


class Correlator:
    """Places alerts one after the other, in any order of time.

    Parameters
    ----------
    topology
        Who calls whom.
    """

    def __init__(self, topology: Topology | None = None, policy: CorrelationWindow | None = None) -> None:
        self.topology = topology or Topology()
        self.policy = policy or CorrelationWindow()
        self.groups: dict[str, ActiveIncident] = {}
        self._by_node: dict[str, dict[str, None]] = defaultdict(dict)
        self._by_job: dict[str, dict[str, None]] = defaultdict(dict)
        self._by_label: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
        self._carriers: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._known: set[str] = set()

    def place(self, signal: AlertFacts, name: str) -> Placement:
        """Find the incident of an alert, or open one called `name`."""
        self._learn(signal)
        found = sorted(self._matches(signal), key=lambda match: (-match[0], match[1].first_ms, match[1].id))
        if not found:
            group = self.groups[name] = ActiveIncident(name, signal.at_ms, signal.at_ms)
            self._add(group, signal)
            return Placement(name, True, "the first alert")
        _, best, why = found[0]
        absorbed = []
        for _, other, _ in found[1:]:
            first, second = sorted((best, other), key=lambda group: (group.first_ms, group.id))
            span = max(best.last_ms, other.last_ms) - first.first_ms
            if span <= self.policy.longest and not (first.apart or second.apart):
                first.take(second)
                self._forget(second)
                self._index(first, second.nodes, second.jobs, second.labels)
                absorbed.append(second.id)
                best = first
        self._add(best, signal)
        return Placement(best.id, False, why, tuple(absorbed))

    def restore(self, name: str, signals: Iterable[AlertFacts], *, apart: bool = False) -> None:
        """Take up an incident with its alerts, as the store has it; `apart`: it becomes one with no other."""
        for signal in signals:
            self._learn(signal)
            group = self.groups.setdefault(name, ActiveIncident(name, signal.at_ms, signal.at_ms, apart=apart))
            self._add(group, signal)

    def close(self, name: str) -> None:
        """Take no more alerts into an incident."""
        group = self.groups.get(name)
        if group is not None:
            self._forget(group)

    def expire(self, before_ms: int) -> None:
        """Forget incidents whose window ended before a time."""
        for group in list(self.groups.values()):
            if group.last_ms + self.policy.window_of(group.step_ms) < before_ms:
                self._forget(group)

    # -- evidence --------------------------------------------------------------------------------------
    def _matches(self, signal: AlertFacts) -> list[tuple[float, ActiveIncident, str]]:
        rare = sorted(((self._rarity(pair), pair) for pair in signal.labels.items()), reverse=True)
        found = []
        for name in self._candidates(signal, rare):
            group = self.groups[name]
            gap = max(0, group.first_ms - signal.at_ms, signal.at_ms - group.last_ms)
            span = max(group.last_ms, signal.at_ms) - min(group.first_ms, signal.at_ms)
            window = self.policy.window_of(max(signal.step_ms, group.step_ms))
            if gap > window or span > self.policy.longest:
                continue
            evidence, reasons = self._evidence(signal, group, rare)
            strength: float = evidence * 0.5 ** (gap / window)
            if strength >= ENOUGH:
                found.append((strength, group, "joined: " + ", ".join([*reasons, _later(signal, group)])))
        return found

    def _evidence(self, signal: AlertFacts, group: ActiveIncident, rare: Sequence[Rare]) -> tuple[float, list[str]]:
        place, reason = self._place_evidence(signal, group)
        reasons = [reason] if reason else []
        rarity, pair = next(((r, p) for r, p in rare if r and 2 * group.labels[p] >= group.size), (0.0, ("", "")))
        if rarity > 0.5:
            reasons.append(f"same {pair[0]} {pair[1]}")
        job = SAME_JOB * (group.jobs[signal.job] > 0)
        alike = _cosine(signal.causes, group.causes)
        if alike > 0.5:
            reasons.append(f"{max(signal.causes, key=lambda f: signal.causes[f])} departs in both")
        if job and not reasons:
            reasons.append(f"same job {signal.job}")
        return place + LABELS * rarity + job + CAUSES * alike, reasons

    def _place_evidence(self, signal: AlertFacts, group: ActiveIncident) -> tuple[float, str]:
        related = self.topology.related(signal.node)  # the nearest first
        if signal.node in group.nodes:
            nearest = signal.node
        elif len(group.nodes) < len(related):
            nearest = min(
                group.nodes.keys() & related.keys(), key=lambda node: (related[node].hops, node), default=""
            )
        else:
            nearest = next((node for node in related if node in group.nodes), "")
        if nearest:
            return BY_HOPS[related[nearest].hops], related[nearest].text
        if self.topology.knows(signal.node) and any(self.topology.knows(node) for node in group.nodes):
            return UNRELATED, ""
        return 0.0, ""

    def _rarity(self, pair: tuple[str, str]) -> float:
        """1 for a label that only few nodes have, 0 for one that all have; a label of one node says nothing."""
        carriers = len(self._carriers[pair])
        return 0.0 if carriers < 2 or len(self._known) < 3 else 1.0 - carriers / len(self._known)

    # -- indexes ---------------------------------------------------------------------------------------
    def _candidates(self, signal: AlertFacts, rare: Sequence[Rare]) -> list[str]:
        """Active incidents that may match, the latest ones of each index."""
        if len(self.groups) <= 2 * CANDIDATES:
            return list(self.groups)
        found: dict[str, None] = {}
        related = self.topology.related(signal.node)
        sources: list[Iterable[str]] = [reversed(self._by_node[node]) for node in related if node in self._by_node]
        sources += [reversed(self._by_label[pair]) for rarity, pair in rare if rarity > 0.5]
        sources.append(reversed(self._by_job[signal.job]))
        for names in sources:
            if len(found) >= 2 * CANDIDATES:
                break
            found.update(dict.fromkeys(islice(names, CANDIDATES)))
        return list(found)

    def _learn(self, signal: AlertFacts) -> None:
        self._known.add(signal.node)
        for pair in signal.labels.items():
            self._carriers[pair].add(signal.node)

    def _add(self, group: ActiveIncident, signal: AlertFacts) -> None:
        group.add(signal)
        self._index(group, [signal.node], [signal.job], signal.labels.items())

    def _index(
        self, group: ActiveIncident, nodes: Iterable[str], jobs: Iterable[str], labels: Iterable[tuple[str, str]]
    ) -> None:
        for index, keys in ((self._by_node, nodes), (self._by_job, jobs)):
            for key in keys:
                index[key].pop(group.id, None)  # the latest one stands last
                index[key][group.id] = None
        for pair in labels:
            self._by_label[pair].pop(group.id, None)
            self._by_label[pair][group.id] = None

    def _forget(self, group: ActiveIncident) -> None:
        del self.groups[group.id]
        for node in group.nodes:
            self._by_node[node].pop(group.id, None)
        for job in group.jobs:
            self._by_job[job].pop(group.id, None)
        for pair in group.labels:
            self._by_label[pair].pop(group.id, None)


def _cosine(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    inner = sum(share * other.get(feature, 0.0) for feature, share in one.items())
    if not inner:
        return 0.0
    return inner / math.sqrt(sum(v * v for v in one.values()) * sum(v * v for v in other.values()))


def _later(signal: AlertFacts, group: ActiveIncident) -> str:
    seconds = round((signal.at_ms - group.last_ms) / 1000)
    if seconds < 0:
        return "at the same time" if signal.at_ms >= group.first_ms else f"{-seconds} s before"
    if seconds == 0:
        return "at the same time"
    return f"{seconds} s later" if seconds < 120 else f"{round(seconds / 60)} min later"


def in_order(signals: Sequence[AlertFacts]) -> list[AlertFacts]:
    """Alerts by time, then id: what comes in one batch is placed in this order."""
    return sorted(signals, key=lambda signal: (signal.at_ms, signal.id))
