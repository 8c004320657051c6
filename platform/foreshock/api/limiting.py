"""Rate limits: of tokens, people, tenants and addresses.

Strict for addresses that fail to sign in, wide for who is known, widest for health.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import Callable
from typing import TypeVar

from limits import RateLimitItem, parse

from foreshock.api.counters import Counters
from foreshock.api.errors import Problem
from foreshock.identity.model import Principal
from foreshock.settings import LiveSettings, Settings

__all__ = ["Limits"]

T = TypeVar("T")
SHARE = 100
"""Requests are counted in so many parts of their limit: a part costs as much as one request."""
MOST = 100_000
"""Keys with requests that are not counted yet, and keys that have to wait."""
HEALTH = 10
"""So many times as many requests of health as of anything else an address may send."""
HEALTH_PATHS = frozenset({"/healthz", "/readyz"})


class Limits:
    """Counts requests.

    Those of people and programs that are known are counted by person, token and tenant; those with the API token of
    the installation are not. A good token is let in whatever its address did: one broken program does not lock out
    the others behind it. All that needs no token is counted by address. A wrong token or login counts as a failure
    of its address, too, and each failure makes its next requests count for one more.
    """

    def __init__(self, settings: Settings) -> None:
        self._counters = Counters(settings)
        self.change(settings)
        self._uncounted: dict[tuple[str, str], int] = defaultdict(int)
        self._until: dict[tuple[str, str], float] = {}

    def change(self, settings: LiveSettings) -> None:
        """Count against other limits from now on, from zero; a client that waits already waits to the end."""
        self._failures: RateLimitItem = parse(settings.limit_failures)
        self._address = parse(settings.limit_address)
        self._health = parse(f"{self._address.amount * HEALTH} per {self._address.get_expiry()} second")
        named = {
            "person": settings.limit_person, "token": settings.limit_program, "tenant": settings.limit_tenant,
        }  # fmt: skip
        items = {name: parse(text) for name, text in named.items() if text is not None}
        of: dict[str, Callable[[Principal], str]] = {
            "person": lambda who: who.id, "token": lambda who: who.id, "tenant": lambda who: who.tenant,
        }  # fmt: skip
        self._of_kind = {
            kind: [(name, items[name], of[name]) for name in (kind, "tenant") if name in items]
            for kind in ("person", "token")
        }

    # -- addresses ------------------------------------------------------------------------------------------------
    async def admit(self, address: str, path: str) -> None:
        """Count a request that needs no token; refuse (429) those over the limit of their address."""
        if path in HEALTH_PATHS:
            await self._count("health", self._health, address)
            return
        failures = await self._aside(lambda: self._counters.used(self._failures, "failures", address))
        await self._count("address", self._address, address, 1 + failures)

    async def check_failures(self, address: str) -> None:
        """Refuse (429) an address that has failed too often to sign in."""
        await self._aside(self._checked, address)

    async def failed(self, address: str) -> None:
        """Count a wrong token or login of an address; refuse (429) if there were too many."""
        await self._aside(self._hit, "failures", self._failures, address, 1)

    def _checked(self, address: str) -> None:
        if not self._counters.test(self._failures, "failures", address):
            raise self._refusal("failures", self._failures, address)

    # -- principals -----------------------------------------------------------------------------------------------
    def due(self, principal: Principal) -> bool:
        """Note a request; True if `settle` is to count it. Refuses (429) who has to wait."""
        found = False
        for policy, item, key_of in self._of_kind.get(principal.kind, ()):
            found = self._note(policy, item, key_of(principal), 1) or found
        return found

    async def settle(self, principal: Principal) -> None:
        """Count what was noted; refuse (429) a request over a limit."""
        for policy, item, key_of in self._of_kind.get(principal.kind, ()):
            await self._settle(policy, item, key_of(principal))

    # -- inside ---------------------------------------------------------------------------------------------------
    async def _count(self, policy: str, item: RateLimitItem, key: str, cost: int = 1) -> None:
        if self._note(policy, item, key, cost):
            await self._settle(policy, item, key)

    def _note(self, policy: str, item: RateLimitItem, key: str, cost: int) -> bool:
        """Add to what is not counted yet; True if it is a part of the limit."""
        both = policy, key
        until = self._until.get(both)
        if until is not None:
            if time.monotonic() < until:
                raise _refused(policy, item, until - time.monotonic())
            del self._until[both]
        self._uncounted[both] += cost
        return self._uncounted[both] >= item.amount // SHARE

    async def _settle(self, policy: str, item: RateLimitItem, key: str) -> None:
        both = policy, key
        noted = self._uncounted.get(both, 0)
        if noted < max(1, item.amount // SHARE):
            return
        if len(self._uncounted) > MOST:
            self._uncounted.clear()
        self._uncounted[both] = 0
        await self._aside(self._hit, policy, item, key, min(noted, item.amount))

    def _hit(self, policy: str, item: RateLimitItem, key: str, cost: int) -> None:
        if self._counters.hit(item, policy, key, cost):
            return
        refusal = self._refusal(policy, item, key)
        if policy != "failures":  # of these, each is looked at
            if len(self._until) > MOST:
                self._until.clear()
            self._until[policy, key] = time.monotonic() + float(refusal.headers["Retry-After"])
        raise refusal

    async def _aside(self, act: Callable[..., T], *args: object) -> T:
        """Do what may wait for the network in a thread, and the rest at once."""
        return await asyncio.to_thread(act, *args) if self._counters.shared else act(*args)

    def _refusal(self, policy: str, item: RateLimitItem, key: str) -> Problem:
        return _refused(policy, item, self._counters.wait(item, policy, key))


def _refused(policy: str, item: RateLimitItem, seconds: float) -> Problem:
    """Say when to come again, with the header fields of draft-ietf-httpapi-ratelimit-headers-11."""
    wait = max(1, math.ceil(seconds))
    headers = {
        "Retry-After": str(wait),
        "RateLimit-Policy": f'"{policy}";q={item.amount};w={item.get_expiry()}',
        "RateLimit": f'"{policy}";r=0;t={wait}',
    }
    return Problem(429, f"too many requests; at most {item}; try again in {wait} s", headers=headers)
