"""People, roles, tokens and sessions: who somebody is, and what they may do."""

from __future__ import annotations

from foreshock.identity.model import Grant, Person, Principal
from foreshock.identity.permissions import PERMISSIONS, ROLES, Permission

__all__ = ["PERMISSIONS", "ROLES", "Grant", "Permission", "Person", "Principal"]
