"""Permissions, ``<noun>:<verb>``, and the roles that are fixed sets of them."""

from __future__ import annotations

from typing import Literal, get_args

from foreshock_models.errors import ConfigError, allowed

__all__ = ["INSTALLATION", "PERMISSIONS", "ROLES", "Permission", "check_role", "check_scopes"]

Permission = Literal[
    "alerts:act",
    "alerts:read",
    "audit:read",
    "config:read",
    "config:write",
    "dashboards:read",
    "entities:forget",
    "entities:read",
    "events:read",
    "explanations:create",
    "feedback:give",
    "forecasts:read",
    "incidents:act",
    "incidents:read",
    "jobs:read",
    "keys:rotate",
    "metrics:read",
    "models:promote",
    "models:read",
    "models:train",
    "notifications:read",
    "notifications:write",
    "oncall:read",
    "oncall:write",
    "runs:cancel",
    "runs:read",
    "scores:create",
    "silences:read",
    "silences:write",
    "slos:read",
    "slos:write",
    "system:read",
    "tenants:read",
    "tenants:write",
    "tokens:read",
    "tokens:write",
    "users:read",
    "users:write",
]
PERMISSIONS: frozenset[str] = frozenset(get_args(Permission))

INSTALLATION = frozenset(
    {"config:read", "config:write", "keys:rotate", "metrics:read", "tenants:read", "tenants:write"}
)
"""Of the installation as a whole: given in the tenant `default` alone, for all jobs."""


_VIEWER = frozenset(
    {p for p in PERMISSIONS if p.endswith(":read")} - {"audit:read", "tokens:read", "users:read"}
    - INSTALLATION | {"scores:create", "explanations:create", "metrics:read"}
)  # fmt: skip
_OPERATOR = _VIEWER | {
    "alerts:act", "entities:forget", "feedback:give", "incidents:act", "oncall:write", "runs:cancel",
    "silences:write",
}  # fmt: skip
_EDITOR = _OPERATOR | {"models:promote", "models:train", "notifications:write", "slos:write"}

ROLES: dict[str, frozenset[str]] = {
    "viewer": _VIEWER,
    "operator": _OPERATOR,
    "editor": _EDITOR,
    "admin": PERMISSIONS,
}
"""Each holds all that the one before it holds."""


def check_role(role: str) -> str:
    """Return the role; ConfigError if there is none of that name."""
    if role not in ROLES:
        raise ConfigError(f"no role {role!r}; {allowed(role, ROLES)}")
    return role


def check_scopes(words: list[str]) -> frozenset[str]:
    """Return the permissions that are named, each by itself or by a role; ConfigError names a wrong one."""
    found: set[str] = set()
    for word in words:
        if word in ROLES:
            found |= ROLES[word]
        elif word in PERMISSIONS:
            found.add(word)
        else:
            raise ConfigError(f"no permission or role {word!r}; {allowed(word, [*ROLES, *sorted(PERMISSIONS)])}")
    return frozenset(found)
