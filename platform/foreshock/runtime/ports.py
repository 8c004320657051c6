"""The TCP ports of an installation: the one of the API, and a block that it shares with no other installation.

Serve's proxies and HAProxy bind with SO_REUSEPORT: two installations of one user that use the same port both start,
and each gets a part of the other's requests. A lock on the block and on the API's port prevents that; the kernel
releases it when the process ends, however it ends.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from foreshock.runtime.home import private_folder
from foreshock_models.errors import InstallationError

__all__ = ["BLOCKS", "Ports", "is_free", "reserved_ports"]

FIRST, SIZE, BLOCKS = 20_000, 100, 100
"""Blocks lie below the range that Linux takes outgoing connections from (32768 and up)."""
FIXED = 4
PATIENCE = 5.0
"""Seconds in which the proxy of an installation that was just killed gives its port back."""


@dataclass(frozen=True)
class Ports:
    """Ports that Foreshock listens on, all but `api` on loopback."""

    api: int
    metrics: int
    statistics: int
    fallback: int
    fallback_grpc: int
    replicas: range


@contextmanager
def reserved_ports(host: str, port: int, replicas: int) -> Iterator[Ports]:
    """Hold the ports of an installation while the block runs.

    Parameters
    ----------
    replicas
        How many replicas of the API there may be at most; one that ends and its successor overlap.

    Raises
    ------
    InstallationError
        The port of the API is taken, or no block is free.
    """
    with ExitStack() as locks:
        _take_api_port(locks, host, port)
        yield _take_block(locks, port, -(-(FIXED + 20 + 2 * replicas) // SIZE))


def is_free(host: str, port: int) -> bool:
    """Check whether one can listen there."""
    return _bind_error(host, port) is None


def _take_api_port(locks: ExitStack, host: str, port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    held = False
    while True:
        held = held or _lock(locks, f"port-{port}")
        error = _bind_error(host, port)
        if held and error is None:
            return
        if error is not None and error.errno != errno.EADDRINUSE:
            raise InstallationError(
                f"cannot listen on {host}:{port}: {error.strerror or error}; "
                "choose others with --host and --port, or FORESHOCK_HOST and FORESHOCK_PORT"
            ) from error
        if time.monotonic() > deadline:
            raise InstallationError(
                f"port {port} is taken on {host}: stop what listens there, or choose another one with --port "
                "or FORESHOCK_PORT"
            ) from error
        time.sleep(0.1)


def _bind_error(host: str, port: int) -> OSError | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that have ended do not count
        try:
            s.bind((host, port))
        except OSError as exc:
            return exc
    return None


def _take_block(locks: ExitStack, port: int, blocks: int) -> Ports:
    """The first run of blocks that nobody holds, beginning at one that follows from the port of the API."""
    for offset in range(BLOCKS):
        first = (port + offset) % BLOCKS
        if first + blocks > BLOCKS:
            continue
        with ExitStack() as attempt:
            if not all(_lock(attempt, f"block-{first + i}") for i in range(blocks)):
                continue
            numbers = range(FIRST + first * SIZE, FIRST + (first + blocks) * SIZE)
            free = [n for n in numbers[: FIXED + 20] if is_free("127.0.0.1", n)]
            if len(free) < FIXED:
                continue
            locks.enter_context(attempt.pop_all())
            metrics, statistics, fallback, fallback_grpc = free[:FIXED]
            return Ports(port, metrics, statistics, fallback, fallback_grpc, numbers[FIXED + 20 :])
    raise InstallationError(
        f"no {blocks * SIZE} ports in a row are free between {FIRST} and {FIRST + BLOCKS * SIZE - 1}: stop "
        "installations that are not needed, or lower FORESHOCK_MAX_REPLICAS"
    )


def _lock(locks: ExitStack, name: str) -> bool:
    """Take a lock that the kernel gives back at the end of this process."""
    handle = os.open(private_folder() / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return False
    locks.callback(os.close, handle)
    return True
