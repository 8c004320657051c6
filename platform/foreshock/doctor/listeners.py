"""Sockets that a running installation listens on."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import psutil

__all__ = ["Listener", "listeners"]

RAYLET = "raylet"


@dataclass(frozen=True, order=True)
class Listener:
    """One socket, and the program that listens on it."""

    port: int
    address: str
    program: str

    @property
    def local(self) -> bool:
        """True if only this machine reaches it."""
        return ipaddress.ip_address(self.address).is_loopback


def listeners(port: int) -> list[Listener]:
    """Sockets of the installation whose API is on this port; none if no process of this user listens there."""
    root = _root(port)
    if root is None:
        return []
    found = set()
    for process in [root, *root.children(recursive=True)]:
        for address, number in _listening(process):
            with suppress(psutil.Error):
                found.add(Listener(number, address, _program(process)))
    return sorted(found)


def _root(port: int) -> psutil.Process | None:
    """The command that started all of it: the parent of the Ray node that the proxy runs on."""
    for process in psutil.process_iter(["name"]):
        if process.info["name"] == "haproxy" and any(number == port for _, number in _listening(process)):
            with suppress(psutil.Error):
                for parent in process.parents():
                    if parent.name() == RAYLET:
                        return parent.parent()
    return None


def _listening(process: psutil.Process) -> Iterator[tuple[str, int]]:
    with suppress(psutil.Error):
        for one in process.net_connections("inet"):
            if one.status == psutil.CONN_LISTEN:
                yield one.laddr.ip.removeprefix("::ffff:"), one.laddr.port


def _program(process: psutil.Process) -> str:
    first = (process.cmdline() or [process.name()])[0]
    return first if first.startswith("ray::") else process.name()
