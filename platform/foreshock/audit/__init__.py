"""The audit log: who did what, in a Merkle log (RFC 9162) whose checkpoints are signed."""

from __future__ import annotations

from foreshock.audit.acting import Actor, acting, current_actor
from foreshock.audit.repository import record

__all__ = ["Actor", "acting", "current_actor", "record"]
