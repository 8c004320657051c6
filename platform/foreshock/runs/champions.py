"""Use cases of champions: promote a version, return to the one before; each is audited and an event."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from foreshock.audit import record
from foreshock.events.repository import EventRepository
from foreshock.store.store import Store
from foreshock_models.errors import RegistryError, StoreError
from foreshock_pipelines.registry import CHALLENGER, Model, Registry

__all__ = ["Champions"]


class Champions:
    """Champions of jobs, changed by people and programs.

    Registry and store have no transaction together: the audit entry is committed after the registry has changed,
    and if that fails, the champion before is the champion again.
    """

    def __init__(self, registry: Registry, store: Store) -> None:
        self.registry = registry
        self.store = store

    def promote(self, job: str, which: str = CHALLENGER) -> Model:
        """Make a version the champion; errors as of the registry, and StoreError with nothing changed."""
        return self._change(job, "promote", lambda: self.registry.promote(job, which))

    def rollback(self, job: str) -> Model:
        """Make the champion before this one the champion again; errors as of `promote`."""
        return self._change(job, "rollback", lambda: self.registry.rollback(job))

    def _change(self, job: str, verb: str, change: Callable[[], Model]) -> Model:
        before = self.registry.champion(job)
        done = None
        try:
            with self.store.begin() as c:
                done = change()
                record(self.store, c, f"models:{verb}", job, version=done.version, before=before)
                what = "promoted" if verb == "promote" else "rolled_back"
                event = {"event": what, "job": job, "version": done.version, "before": before}
                EventRepository(self.store).append(c, "model", job, event, round(time.time() * 1000))
        except StoreError:
            if done is not None and before is not None and done.version != before:
                with suppress(RegistryError):
                    self.registry.promote(job, before)
            raise
        return done
