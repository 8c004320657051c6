"""Rate limits of channels: how many messages within a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["DEFAULTS", "Rule", "left", "wait_ms"]

MINUTE = 60_000


@dataclass(frozen=True, slots=True)
class Rule:
    """At most so many messages within so many ms."""

    most: int
    within_ms: int


SMS = (Rule(1, MINUTE), Rule(5, 15 * MINUTE), Rule(11, 60 * MINUTE), Rule(21, 180 * MINUTE))
"""Those of GoAlert: what one person can take in."""
DEFAULTS: Mapping[str, Sequence[Rule]] = {
    "sms": SMS,
    "email": (Rule(1, MINUTE), Rule(30, 60 * MINUTE)),
    "slack": (Rule(20, MINUTE),),
    "teams": (Rule(20, MINUTE),),
    "apprise": (Rule(20, MINUTE),),
}
"""By the type of a channel; a machine has no limit of ours."""


def wait_ms(rules: Sequence[Rule], sent_ms: Sequence[int], now_ms: int) -> int:
    """Return how long a message must wait for all rules to allow it; 0: it may go now.

    Parameters
    ----------
    sent_ms
        When messages were sent, in any order.

    >>> wait_ms([Rule(1, 60_000)], [100_000], 130_000)
    30000
    """
    times = sorted(sent_ms)
    waits = [0]
    for rule in rules:
        lately = [at for at in times if at > now_ms - rule.within_ms]
        if len(lately) >= rule.most:
            waits.append(lately[-rule.most] + rule.within_ms - now_ms)
    return max(waits)


def left(rules: Sequence[Rule], sent_ms: Sequence[int], now_ms: int) -> int:
    """Return how many messages may be sent now; many, if there is no rule."""
    free = [rule.most - sum(at > now_ms - rule.within_ms for at in sent_ms) for rule in rules]
    return max(0, min(free, default=1_000_000))
