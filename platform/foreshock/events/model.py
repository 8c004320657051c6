"""Events as records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from foreshock.clock import iso

__all__ = ["DEFAULT_TENANT", "TYPES", "Event"]

TYPES = ("anomaly", "alert", "incident", "prediction", "notification", "run", "model")
DEFAULT_TENANT = "default"
"""The tenant of an installation that has no others."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a subject.

    Attributes
    ----------
    seq : grows with each event, in the order in which their transactions ended
    at_ms : when it was written, ms since the epoch
    type : one of `TYPES`
    subject : id of what it is about
    data : JSON values; ``event`` says what happened
    """

    seq: int
    tenant: str
    at_ms: int
    type: str
    subject: str
    data: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """JSON values, as clients get them."""
        at = iso(self.at_ms, "milliseconds")
        return {"seq": self.seq, "at": at, "type": self.type, "subject": self.subject, "data": self.data}
