"""Rate limits: strict for addresses that fail to sign in, wide for people and programs that are known."""

from __future__ import annotations

import math
import time
from collections import defaultdict

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from foreshock.api.errors import Problem
from foreshock.identity.model import Principal
from foreshock.settings import Settings

__all__ = ["Limits"]

SHARE = 100
"""Requests of somebody known are counted in so many parts of their limit: a part costs as much as one request."""
MOST = 100_000
"""Principals with requests that are not counted yet."""


class Limits:
    """Counts requests in this process.

    Addresses are counted while they fail: with a wrong token or login. A good token is let in all the same: one
    broken program does not lock out the others behind its address. Requests of people and programs are counted by
    person and by token; those with the API token of the installation are not.
    """

    def __init__(self, settings: Settings) -> None:
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._failures = parse(settings.limit_failures)
        self._kinds: dict[str, RateLimitItem] = {"person": parse(settings.limit_person)}
        if settings.limit_program is not None:
            self._kinds["token"] = parse(settings.limit_program)
        self._uncounted: dict[str, int] = defaultdict(int)
        self._until: dict[str, float] = {}

    def check_address(self, address: str) -> None:
        """Refuse (429) an address that has failed too often to sign in."""
        if not self._limiter.test(self._failures, "failures", address):
            raise self._refusal("failures", self._failures, address)

    def failed(self, address: str) -> None:
        """Count a wrong token or login of an address; refuse (429) if there were too many."""
        if not self._limiter.hit(self._failures, "failures", address):
            raise self._refusal("failures", self._failures, address)

    def count(self, principal: Principal) -> None:
        """Count a request; refuse (429) those over the limit."""
        item = self._kinds.get(principal.kind)
        if item is None:
            return
        key = principal.id
        until = self._until.get(key)
        if until is not None:
            if time.monotonic() < until:
                raise self._refusal(principal.kind, item, key)
            del self._until[key]
        part = max(1, item.amount // SHARE)
        self._uncounted[key] += 1
        if self._uncounted[key] < part:
            return
        if len(self._uncounted) > MOST:
            self._uncounted.clear()
        self._uncounted[key] = 0
        if not self._limiter.hit(item, principal.kind, key, cost=part):
            self._until[key] = time.monotonic() + self._wait(principal.kind, item, key)
            raise self._refusal(principal.kind, item, key)

    def _wait(self, policy: str, item: RateLimitItem, key: str) -> float:
        return max(1.0, self._limiter.get_window_stats(item, policy, key).reset_time - time.time())

    def _refusal(self, policy: str, item: RateLimitItem, key: str) -> Problem:
        wait = math.ceil(self._wait(policy, item, key))
        headers = {
            "Retry-After": str(wait),
            "RateLimit-Policy": f'"{policy}";q={item.amount};w={item.get_expiry()}',
            "RateLimit": f'"{policy}";r=0;t={wait}',
        }
        return Problem(429, f"too many requests; at most {item}; try again in {wait} s", headers=headers)
