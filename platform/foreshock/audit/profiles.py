"""Profiles of the audit log: ``sox`` (reads, too; kept for seven years) and ``gdpr`` (pseudonyms in time)."""

from __future__ import annotations

import time
from dataclasses import dataclass

from foreshock.settings import Settings
from foreshock_models.errors import StateError

__all__ = ["KEPT_MS", "Profiles", "profiles_of"]

DAY_MS = 86_400_000
KEPT_MS = 7 * 366 * DAY_MS
"""Of an entry under ``sox``: seven years."""


@dataclass(frozen=True)
class Profiles:
    """Those that are in force."""

    sox: bool = False
    gdpr: bool = False
    pseudonyms_after_ms: int = 90 * DAY_MS

    def check_erasure(self, before_ms: int) -> None:
        """Refuse to erase people from entries that must be kept.

        Raises
        ------
        StateError
            They must.
        """
        if self.sox and before_ms > round(time.time() * 1000) - KEPT_MS:
            raise StateError("FORESHOCK_AUDIT has sox: who did what is kept for seven years, and cannot be erased")

    def due_before_ms(self, now_ms: int) -> int | None:
        """Return the time before which people give way to pseudonyms; None if they do not."""
        if not self.gdpr:
            return None
        return now_ms - max(self.pseudonyms_after_ms, KEPT_MS if self.sox else 0)


def profiles_of(settings: Settings) -> Profiles:
    """Return the profiles that an installation asks for."""
    after = round(settings.audit_pseudonyms.total_seconds() * 1000)
    return Profiles("sox" in settings.audit, "gdpr" in settings.audit, after)
