"""The Ray cluster that an installation runs on."""

from __future__ import annotations

import functools
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from foreshock.logs import relay_logs
from foreshock.runtime.address import check_address, cluster_address
from foreshock.runtime.certificate_reload import tls_variables
from foreshock.runtime.environment import cluster_variables, environment, proxy_variables, ray_folder
from foreshock.runtime.home import open_home
from foreshock.runtime.messages import ray_messages
from foreshock.runtime.ports import reserved_ports
from foreshock.runtime.reach import check_reach
from foreshock.runtime.reaper import guarded
from foreshock.settings import Settings
from foreshock_models.errors import InstallationError

__all__ = ["check_cluster", "ray_cluster"]

NAMESPACE = "foreshock"


@contextmanager
def ray_cluster(settings: Settings, *, num_cpus: int | None = None, serving: bool = False) -> Iterator[bool]:
    """A Ray cluster: the one at ``FORESHOCK_RAY_ADDRESS``, else one that lives as long as this block.

    Returns whether it is that one, which no other process uses and which listens on loopback alone.

    Parameters
    ----------
    serving
        The HTTP API will run on it: its ports are reserved.

    Raises
    ------
    InstallationError
        A port or folder cannot be used, or no cluster answers at the address.
    ConfigError
        See `foreshock.runtime.reach.check_reach`.
    """
    import ray

    if serving:
        check_reach(settings)
    # says at each start that Ray's own token authentication is on, which is as it should be
    logging.getLogger("ray._private.authentication.authentication_token_setup").setLevel(logging.ERROR)
    if ray.is_initialized():  # notebooks and tests bring their own
        yield False
        return
    found = cluster_address(settings)
    with ExitStack() as stack:
        if found is not None:
            stack.enter_context(environment({}))
            _join(*found)
        else:
            _start(stack, settings, num_cpus, serving)
        stack.callback(ray.shutdown)
        stack.enter_context(ray_messages())
        _quiet()
        yield found is None


def check_cluster(settings: Settings) -> None:
    """Check that a cluster can be started or joined, as far as that can be told at once.

    Raises
    ------
    InstallationError
        See `ray_cluster`.
    """
    found = cluster_address(settings)
    if found is not None:
        check_address(*found)
    else:
        open_home(settings.home)
        ray_folder()


def _join(address: str, variable: str) -> None:
    import ray

    check_address(address, variable)
    try:
        ray.init(address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.WARNING)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as exc:
        first = str(exc).strip().splitlines()[0]
        raise InstallationError(f"{variable}: the Ray cluster at {address} cannot be joined: {first}") from exc


def _start(stack: ExitStack, settings: Settings, num_cpus: int | None, serving: bool) -> None:
    import ray

    open_home(settings.home)
    sessions = ray_folder()
    folder = Path(tempfile.mkdtemp(prefix="fs-", dir="/tmp"))  # short: HAProxy wants sockets of 97 bytes at most
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    variables = cluster_variables(settings.home) | stack.enter_context(guarded(folder, sessions))
    variables |= stack.enter_context(relay_logs(folder / "log.sock", json=settings.log_json))
    variables |= {"FORESHOCK_LOG_LEVEL": settings.log_level, "FORESHOCK_LOG_JSON": str(int(settings.log_json))}
    if serving:
        ports = stack.enter_context(reserved_ports(settings.host, settings.port, settings.max_replicas))
        variables |= proxy_variables(settings, ports, folder)
        variables |= stack.enter_context(tls_variables(settings, folder))
    stack.enter_context(environment(variables))
    _take_up_authentication()
    with _own_files(), _nothing_shared():
        ray.init(
            "local",  # not the one that somebody else may have started on this machine
            namespace=NAMESPACE, num_cpus=num_cpus, include_dashboard=False, log_to_driver=False,
            logging_level=logging.WARNING, object_store_memory=500_000_000, _temp_dir=str(sessions),
        )  # fmt: skip


def _take_up_authentication() -> None:
    """Make Ray read the variables again: it may have been imported before they were set."""
    from ray import _raylet

    raylet: Any = _raylet
    raylet.Config.initialize("")
    raylet.AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def _own_files() -> Iterator[None]:
    """Make processes that start in the block create files that only this user reads."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def _nothing_shared() -> Iterator[None]:
    """Make a Ray that is started in the block listen on loopback, its agent on any port that is free.

    Ray takes the address of the network for its own, unless it is on a system that it has no clusters for; its
    agent is on port 52365 for every Ray of a machine. Neither has a parameter of ``ray.init``.
    """
    from ray._private import parameter, ray_constants

    patched: list[tuple[Any, str, Any]] = [
        (ray_constants, "ENABLE_RAY_CLUSTER", False),
        (parameter, "RayParams", functools.partial(parameter.RayParams, dashboard_agent_listen_port=0)),
    ]
    before = [(module, name, getattr(module, name)) for module, name, _ in patched]
    for module, name, value in patched:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


def _quiet() -> None:
    """Ray's own lines of progress: commands show theirs."""
    from ray.data import DataContext

    for name in ("ray.data", "ray.serve"):
        logging.getLogger(name).setLevel(logging.ERROR)
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.verbose_stats_logs = False
    # a read has fewer parts than cores: said once for each read, and meant so
    warnings.filterwarnings("ignore", message="The maximum number of concurrent tasks")
