"""Durable state: alerts with their history, the outbox, checkpoints, runs, silences, feedback."""

from __future__ import annotations

from foreshock.store import config_tables, team_tables  # noqa: F401  (so that the metadata has all tables)
from foreshock.store.store import Store, open_store

__all__ = ["Store", "open_store"]
