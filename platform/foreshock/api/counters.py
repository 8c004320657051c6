"""Counters of requests: in this process, or in Redis for all processes together.

While Redis is away, each process counts for itself, as without Redis: limits become wider by the number of
processes, and none goes away. What is counted in Redis is counted here, too, so that an address that has failed
does not begin again when Redis goes, or comes back empty.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from limits import RateLimitItem
from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from redis.backoff import NoBackoff
from redis.retry import Retry

from foreshock.logs import Condition, get_logger
from foreshock.settings import Settings
from foreshock_models.errors import ConfigError

__all__ = ["Counters"]

T = TypeVar("T")
PATIENCE = 0.25
"""Seconds that a request waits for Redis."""
PAUSE = 5.0
"""Seconds after which a Redis that was away is asked again."""
PREFIX = "foreshock-limits"
log = get_logger("limits")


class Counters:
    """Sliding windows, by policy and key.

    Attributes
    ----------
    shared : whether counting may wait for the network
    """

    def __init__(self, settings: Settings) -> None:
        self._here = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._redis = _redis(settings)
        self._away_until = 0.0
        self._away = Condition(
            log, "Redis is away: each process counts requests for itself", "Redis counts requests again"
        )

    @property
    def shared(self) -> bool:
        return self._redis is not None and time.monotonic() >= self._away_until

    def hit(self, item: RateLimitItem, policy: str, key: str, cost: int = 1) -> bool:
        """Count; False if the limit is passed."""
        here = self._here.hit(item, policy, key, cost=cost)
        return here and self._asked(lambda redis: redis.hit(item, policy, key, cost=cost), True)

    def test(self, item: RateLimitItem, policy: str, key: str) -> bool:
        """Return whether one more would be within the limit."""
        return self._here.test(item, policy, key) and self._asked(lambda redis: redis.test(item, policy, key), True)

    def used(self, item: RateLimitItem, policy: str, key: str) -> int:
        """Return how much of the limit is used up."""
        here = item.amount - self._here.get_window_stats(item, policy, key).remaining
        if not here:  # most have not used any: what another process saw is asked for by the one that counts
            return 0
        shared = self._asked(lambda redis: redis.get_window_stats(item, policy, key).remaining, item.amount)
        return max(here, item.amount - shared)

    def wait(self, item: RateLimitItem, policy: str, key: str) -> float:
        """Return after how many seconds there is room again."""
        here = self._here.get_window_stats(item, policy, key)
        shared = self._asked(lambda redis: redis.get_window_stats(item, policy, key), here)
        return max(1.0, max(here.reset_time, shared.reset_time) - time.time())

    def _asked(self, ask: Callable[[SlidingWindowCounterRateLimiter], T], otherwise: T) -> T:
        """Return what Redis says; while there is none, or it is away, `otherwise`."""
        if self._redis is None or not self.shared:
            return otherwise
        try:
            found = ask(self._redis)
        except StorageError as exc:
            self._away_until = time.monotonic() + PAUSE
            self._away.raised(type(exc.storage_error).__name__)
            return otherwise
        self._away.cleared()
        return found


def _redis(settings: Settings) -> SlidingWindowCounterRateLimiter | None:
    """Return the limiter on Redis; None without REDIS_URL.

    Raises
    ------
    ConfigError
        It is no URL of a Redis.
    """
    if settings.redis_url is None:
        return None
    options: dict[str, object] = {
        "socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE, "retry": Retry(NoBackoff(), 0),
    }  # fmt: skip
    if settings.redis_password is not None:
        options["password"] = settings.redis_password.get_secret_value()
    try:
        storage = RedisStorage(
            settings.redis_url.get_secret_value(),
            key_prefix=PREFIX,
            wrap_exceptions=True,
            **options,  # type: ignore[arg-type]
        )
    except ValueError as exc:
        raise ConfigError("REDIS_URL: write redis://HOST:PORT/NUMBER, or rediss:// for TLS") from exc
    return SlidingWindowCounterRateLimiter(storage)
