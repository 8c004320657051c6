"""What must survive: alerts with their history, the outbox, where scoring stands, runs, silences, feedback."""

from __future__ import annotations

from foreshock.store.store import Store, open_store

__all__ = ["Store", "open_store"]
