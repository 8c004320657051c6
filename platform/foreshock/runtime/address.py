"""The address of a Ray cluster that runs elsewhere, looked at before Ray waits for it."""

from __future__ import annotations

import os
import socket

from foreshock.settings import Settings
from foreshock_models.errors import InstallationError

__all__ = ["check_address", "cluster_address"]

PATIENCE = 5.0
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""Beginning of an HTTP/2 connection with no settings; a gRPC server answers with its own."""
SETTINGS = 4


def cluster_address(settings: Settings) -> tuple[str, str] | None:
    """Address of the cluster to join and the variable that says so; None: start one here."""
    for name, value in (
        ("FORESHOCK_RAY_ADDRESS", settings.ray_address),
        ("RAY_ADDRESS", os.environ.get("RAY_ADDRESS")),  # Ray sets it inside its jobs
    ):
        if value and value != "local":
            return value, name
    return None


def check_address(address: str, variable: str) -> None:
    """Check that a Ray cluster answers there: Ray itself would try for minutes.

    Raises
    ------
    InstallationError
        Nobody answers, it is not Ray, or the address is none.
    """
    target = _found_by_ray(variable) if address == "auto" else address.removeprefix("ray://")
    host, _, port = target.rpartition(":")
    if not host or "/" in host or not port.isdigit() or int(port) > 65535:
        raise InstallationError(
            f"{variable}: {address!r} is not an address of a Ray cluster; "
            f"allowed: HOST:PORT, ray://HOST:PORT, auto. {_remedy(variable)}"
        )
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE) as connection:
            if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
                return
            connection.sendall(HELLO)
            answer = connection.recv(9)
    except OSError as exc:
        raise InstallationError(
            f"{variable}: no Ray cluster answers at {target}: {exc.strerror or exc}. {_remedy(variable)}"
        ) from exc
    if len(answer) < 4 or answer[3] != SETTINGS:
        raise InstallationError(f"{variable}: what answers at {target} is not a Ray cluster. {_remedy(variable)}")


def _found_by_ray(variable: str) -> str:
    """Address of the cluster that ``ray start`` began on this machine."""
    from ray._private.services import canonicalize_bootstrap_address

    before = os.environ.pop("RAY_ADDRESS", None)
    try:
        found = canonicalize_bootstrap_address("auto")
    except (ConnectionError, ValueError) as exc:
        raise InstallationError(f"{variable}: no Ray cluster runs on this machine. {_remedy(variable)}") from exc
    finally:
        if before is not None:
            os.environ["RAY_ADDRESS"] = before
    if found is None:
        raise InstallationError(f"{variable}: no Ray cluster runs on this machine. {_remedy(variable)}")
    return str(found)


def _remedy(variable: str) -> str:
    return f"Start the cluster, or unset {variable}: Foreshock then starts a Ray of its own"
