"""Readiness: a replica can do its work."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from foreshock.store.store import Store, store_condition
from foreshock_models.errors import StoreError

__all__ = ["StoreProbe"]

PATIENCE = 3.0
FRESH = 1.0
"""Seconds in which probes get the same answer: who asks needs no token."""


class StoreProbe:
    """Asks whether the store answers; logs when it goes away and when it is back.

    Parameters
    ----------
    store
        As it is used.
    logger
        Told of changes, with the reason, which who asks over HTTP is not.
    """

    def __init__(self, store: Store, logger: Any) -> None:
        self._store = store
        self._away = store_condition(logger)
        self._asking: asyncio.Task[bool] | None = None
        self._answered = -FRESH
        self._answer = True

    async def answers(self) -> bool:
        """Return whether the store answered within the last second, or does now."""
        if time.monotonic() < self._answered + FRESH:
            return self._answer
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        try:
            return await asyncio.wait_for(asyncio.shield(self._asking), PATIENCE)
        except TimeoutError:
            self._away.raised(f"no answer within {PATIENCE:g} s")
            return False

    async def _ask(self) -> bool:
        try:
            await asyncio.to_thread(self._store.check)
        except StoreError as exc:
            self._away.raised(str(exc))
            self._answer = False
        else:
            self._away.cleared()
            self._answer = True
        self._answered = time.monotonic()
        return self._answer
