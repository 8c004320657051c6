"""Checks of the address and the certificate of the HTTP API: plain HTTP stays on loopback."""

from __future__ import annotations

import ipaddress
import socket

from foreshock.runtime.address import cluster_address
from foreshock.runtime.certificate import read_certificate
from foreshock.settings import Settings
from foreshock_models.errors import ConfigError

__all__ = ["check_reach", "is_loopback"]


def check_reach(settings: Settings) -> None:
    """Check that the API speaks TLS if other machines can reach it, and that its certificate can be used.

    Raises
    ------
    ConfigError
        The API would speak plain HTTP beyond loopback, and nobody has asked for that; or the certificate cannot be
        used.
    """
    if settings.tls_key is not None and settings.tls_certificate is None:
        raise ConfigError("FORESHOCK_TLS_KEY: a key without a certificate; set FORESHOCK_TLS_CERTIFICATE, too")
    if settings.tls_certificate is not None:
        found = cluster_address(settings)
        if found is not None:
            raise ConfigError(
                f"FORESHOCK_TLS_CERTIFICATE: TLS needs a Ray that Foreshock starts itself; on the cluster of "
                f"{found[1]}, let its ingress speak TLS, and unset it"
            )
        read_certificate(settings)
    elif not settings.allow_plain_http and not is_loopback(settings.host):
        raise ConfigError(
            f"FORESHOCK_HOST: {settings.host} can be reached from other machines, and without TLS they could read "
            "passwords and tokens on the way: set FORESHOCK_TLS_CERTIFICATE and FORESHOCK_TLS_KEY; or, where "
            "something in front speaks TLS, FORESHOCK_ALLOW_PLAIN_HTTP=1"
        )


def is_loopback(host: str) -> bool:
    """Check whether only this machine reaches an address; of a name, all its addresses."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None)
    except OSError:  # told when it is listened on
        return False
    return all(ipaddress.ip_address(str(one[4][0]).partition("%")[0]).is_loopback for one in found)
