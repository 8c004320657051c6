"""Answers of Vault: used for a moment without asking again, and for longer while Vault is away."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

from foreshock_models.errors import VaultAway, VaultError

__all__ = ["FRESH", "LastKnown"]

T = TypeVar("T")
FRESH = 60.0
"""Seconds in which a value is not asked for again."""
SHORTEST, LONGEST = 1.0, 60.0
"""Seconds between two attempts to reach Vault, at first and at most."""
log = logging.getLogger("vault")


@dataclass(frozen=True)
class _Value:
    value: Any
    at: float


class LastKnown:
    """Values by what was asked, in the memory of this process alone.

    Parameters
    ----------
    keep
        Seconds that a value is good for while Vault is away.
    now
        Seconds of a clock that never goes back.
    """

    def __init__(self, keep: float, now: Callable[[], float] = time.monotonic) -> None:
        self._keep, self._now = keep, now
        self._values: dict[Hashable, _Value] = {}
        self._lock = threading.RLock()
        self._pause, self._until = 0.0, float("-inf")
        self._away: VaultAway | None = None

    def get(self, what: Hashable, ask: Callable[[], T], *, again: bool = False) -> T:
        """Return what was asked for.

        Parameters
        ----------
        ask
            Asks Vault.
        again
            Ask even if the value was asked for a moment ago.

        Raises
        ------
        VaultAway
            Vault gives no answer, and the value is not known, or not since `keep`.
        VaultError
            Vault refuses; a value that was known is forgotten.
        """
        with self._lock:
            known = self._values.get(what)
            if known is not None and not again and self._now() - known.at < FRESH:
                return known.value
            if self._away is not None and self._now() < self._until:
                return self._last(known, self._away)
            try:
                found = ask()
            except VaultAway as exc:
                self._back_off(exc)
                return self._last(known, exc)
            except VaultError:
                self._values.pop(what, None)
                raise
            self._is_back()
            self._values[what] = _Value(found, self._now())
            return found

    def _last(self, known: _Value | None, exc: VaultAway) -> Any:
        if known is None:
            raise exc
        if self._now() - known.at > self._keep:
            raise VaultAway(f"{exc}; what it said last is older than VAULT_KEEP ({self._keep:g} s)") from exc
        return known.value

    def _back_off(self, exc: VaultAway) -> None:
        if self._away is None:
            log.warning("Vault is away: %s; values that are known stay in use for %g s", exc, self._keep)
        self._away = exc
        self._pause = min(max(2 * self._pause, SHORTEST), LONGEST)
        self._until = self._now() + self._pause

    def _is_back(self) -> None:
        if self._away is not None:
            log.warning("Vault is back")
        self._away, self._pause = None, 0.0
