"""Records of identity: people, their grants, tokens, and who a request is from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from foreshock.audit.acting import Actor
from foreshock.identity.permissions import INSTALLATION, PERMISSIONS, ROLES
from foreshock.store.team_tables import DEFAULT_TENANT
from foreshock_models.errors import ConfigError

__all__ = ["ALL_JOBS", "ApiToken", "Grant", "Jobs", "Person", "Principal", "RoleGrant", "check_jobs", "check_name"]

ALL_JOBS = "*"
NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,127}")
JOBS = re.compile(r"[a-z0-9_*-]{1,64}")


@dataclass(frozen=True, slots=True)
class RoleGrant:
    """A role in a tenant, for the jobs that a pattern names."""

    role: str
    jobs: str = ALL_JOBS


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who signs in.

    Attributes
    ----------
    must_change : the password is one that somebody else made, and good for nothing but another one
    """

    id: str
    name: str
    tenant: str
    grants: tuple[RoleGrant, ...]
    must_change: bool
    second_factor: bool
    created_ms: int
    disabled_ms: int | None


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A token of a program, without the token itself."""

    id: str
    name: str
    tenant: str
    scopes: tuple[str, ...]
    jobs: str
    made_by: str
    created_ms: int
    expires_ms: int
    used_ms: int | None
    revoked_ms: int | None


@dataclass(frozen=True, slots=True)
class Grant:
    """Permissions, for the jobs that a pattern names."""

    permissions: frozenset[str]
    jobs: str = ALL_JOBS

    def covers(self, job: str) -> bool:
        return self.jobs == ALL_JOBS or fnmatchcase(job, self.jobs)


@dataclass(frozen=True, slots=True)
class Jobs:
    """Jobs that somebody may reach.

    Attributes
    ----------
    patterns : of their names; None: any
    only : names, of a tenant that is not ``default``; None: any
    without : names of those that belong to other tenants
    """

    patterns: tuple[str, ...] | None = None
    only: frozenset[str] | None = None
    without: frozenset[str] = frozenset()

    def admits(self, job: str) -> bool:
        if job in self.without or (self.only is not None and job not in self.only):
            return False
        return self.patterns is None or any(fnmatchcase(job, pattern) for pattern in self.patterns)


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody as a request, a command or a connection has them.

    Attributes
    ----------
    kind : ``installation``: the token of the installation itself; ``local``: a user of this machine
    session : of a person, the login that it comes from
    """

    kind: Literal["installation", "person", "token", "local"]
    id: str
    name: str
    tenant: str
    grants: tuple[Grant, ...]
    session: str | None = None
    must_change: bool = False

    def may(self, permission: str, job: str | None = None) -> bool:
        """Return whether this is allowed: for a job, or, without one, for any job at all."""
        return any(permission in grant.permissions and (job is None or grant.covers(job)) for grant in self.grants)

    def jobs(self, permission: str) -> tuple[str, ...] | None:
        """Return the patterns of jobs that a permission is held for; None: all of them."""
        found = tuple(grant.jobs for grant in self.grants if permission in grant.permissions)
        return None if ALL_JOBS in found else found

    @property
    def permissions(self) -> frozenset[str]:
        """All that is held for some job."""
        return frozenset().union(*(grant.permissions for grant in self.grants))

    def actor(self, address: str = "") -> Actor:
        """Return the principal as the audit log names it."""
        kind = "local" if self.kind == "local" else "person" if self.kind == "person" else "token"
        return Actor(self.name, kind, address)


def everything(kind: Literal["installation", "local"], name: str, tenant: str = DEFAULT_TENANT) -> Principal:
    """Return a principal who may do all."""
    return Principal(kind, name, name, tenant, (Grant(PERMISSIONS),))


def granted(grants: Iterable[RoleGrant], tenant: str) -> tuple[Grant, ...]:
    """Return the permissions of roles in a tenant."""
    return tuple(Grant(within(ROLES[g.role], tenant, g.jobs), g.jobs) for g in grants if g.role in ROLES)


def within(permissions: frozenset[str], tenant: str, jobs: str) -> frozenset[str]:
    """Leave out what concerns more than a tenant, or than some jobs, may reach."""
    if tenant != DEFAULT_TENANT:
        permissions = permissions - INSTALLATION
    if jobs != ALL_JOBS:  # people and tokens are of no job: whoever makes them could give themselves all jobs
        permissions = permissions - INSTALLATION - {"users:write", "tokens:write", "audit:read"}
    return permissions


def check_name(name: str) -> str:
    """Return the name of a person in lower case; ConfigError if it is none."""
    lower = name.strip().lower()
    if not NAME.fullmatch(lower):
        raise ConfigError(
            f"{name[:200]!r} is no name of a person; use up to 128 letters, digits "
            "and . _ @ + -, as in anna or anna@example.org"
        )
    return lower


def check_jobs(pattern: str) -> str:
    """Return the pattern; ConfigError if it is none."""
    if not JOBS.fullmatch(pattern):
        raise ConfigError(
            f"{pattern[:200]!r} is no pattern of jobs; write a job's name, with * for any letters: web-*"
        )
    return pattern
