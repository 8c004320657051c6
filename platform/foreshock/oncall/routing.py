"""Routing: which escalation policies an incident goes to, as Alertmanager's tree of routes decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from foreshock.oncall.config import Route

__all__ = ["Way", "ways"]

WAIT = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Way:
    """A policy, and how long alerts may join before its first step."""

    policy: str
    wait: timedelta


def ways(root: Route, labels: Mapping[str, str]) -> list[Way]:
    """Return the policies of an incident, each once, in the order of the tree."""
    found = _of(root, labels, root.policy or "", root.wait if root.wait is not None else WAIT)
    return list({way.policy: way for way in reversed(found)}.values())[::-1]


def _of(route: Route, labels: Mapping[str, str], policy: str, wait: timedelta) -> list[Way]:
    policy, wait = route.policy or policy, route.wait if route.wait is not None else wait
    found: list[Way] = []
    for child in route.routes:
        if all(matcher.matches(labels) for matcher in child.matchers):
            found += _of(child, labels, policy, wait)
            if not child.goes_on:
                break
    return found or [Way(policy, wait)]
