"""Keep a replica of Ray Serve on loopback, where its node is."""

from __future__ import annotations

import functools
import sys
from typing import Any

__all__ = ["stay_on_loopback"]

LOOPBACK = "127.0.0.1"


def stay_on_loopback() -> None:
    """Make the replica that this process becomes listen for others of its application on loopback.

    Serve binds that port to all interfaces, whatever the address of the node. Call it in the constructor of a
    deployment, which runs before the port is opened; elsewhere it does nothing.
    """
    replica: Any = sys.modules.get("ray.serve._private.replica")
    if replica is None:
        return
    import ray

    if ray.util.get_node_ip_address() == LOOPBACK:
        replica.add_port_to_grpc_server = functools.partial(_on_loopback, replica.add_port_to_grpc_server)


def _on_loopback(add_port: Any, server: Any, address: str) -> int:
    return int(add_port(server, address.replace("[::]", LOOPBACK)))
