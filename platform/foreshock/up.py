"""Bring up everything: Ray, the HTTP API, the alert actor, the scoring loops."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foreshock.api.app import serve_application
from foreshock.configuration import Configuration, LiveSource
from foreshock.identity.oidc import load_oidc
from foreshock.identity.people import People
from foreshock.identity.tenants import Tenants
from foreshock.runtime.cluster import ray_cluster
from foreshock.runtime.control_loop import Plan, Replay, start_control_loop
from foreshock.settings import Settings
from foreshock.store import open_store
from foreshock_pipelines.jobfile import Job

__all__ = ["Running", "bring_up", "ray_cluster"]


@dataclass(frozen=True)
class Running:
    """A running installation: the API's URL and token, and the control loop, if scoring runs."""

    url: str
    token: str
    new_token: bool
    control_loop: Any = None
    password: str | None = None
    """Of the administrator that was made just now; kept nowhere."""


def bring_up(
    settings: Settings,
    jobs: Mapping[str, Job],
    *,
    files: Mapping[str, Path] | None = None,
    scoring: bool = True,
    replay: Replay | None = None,
    own_cluster: bool = False,
) -> Running:
    """Serve, and score the jobs, on a Ray that runs already; `own_cluster` as `ray_cluster` gives it."""
    if settings.oidc is not None:
        load_oidc(settings.oidc)  # a mistake in it is told before anything starts
    password = first_administrator(settings, jobs)  # what is wrong with the store is told here, not by actors
    control_loop = None
    if scoring:  # first: after an outage alerts are waited for more than answers
        plan = Plan(
            jobs, settings.store, settings.registry, settings.url, files or {}, replay, settings.log_level,
            settings.retention, own_cluster, settings.notifications, LiveSource.of(settings),
        )  # fmt: skip
        control_loop = start_control_loop(plan)
    token, new = serve_application(settings, jobs, files, behind_proxy=own_cluster)
    return Running(settings.url, token, new, control_loop, password)


def first_administrator(settings: Settings, jobs: Mapping[str, Job]) -> str | None:
    """Make an administrator in a store that has nobody yet; gives the password.

    Raises
    ------
    StoreError
        A job is of a tenant that there is not.
    ConfigError
        JWT_SECRET_KEY cannot be used.
    """
    from foreshock.audit.signing import sign_audit
    from foreshock.identity.access_tokens import given_keys

    given_keys(os.environ.get("JWT_SECRET_KEY"))
    store = sign_audit(open_store(settings.store), settings.home, os.environ.get("ENCRYPTION_KEY"))
    try:
        for tenant in {job.tenant for job in jobs.values()}:
            Tenants(store).check(tenant)
        Configuration(store).pin(settings.pinned)
        return People(store).first_administrator()
    finally:
        store.close()
