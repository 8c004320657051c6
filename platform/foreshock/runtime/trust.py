"""Authorities that clients of the HTTP API trust."""

from __future__ import annotations

import ssl

from foreshock.settings import Settings
from foreshock_models.errors import ConfigError

__all__ = ["trusting"]


def trusting(settings: Settings) -> ssl.SSLContext:
    """Return what a client needs to speak HTTPS: with the system's authorities, and the settings' own.

    Raises
    ------
    ConfigError
        The file of ``FORESHOCK_TLS_CA`` cannot be read, or holds no certificate.
    """
    context = ssl.create_default_context()  # knows SSL_CERT_FILE, too
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.tls_ca is not None:
        try:
            context.load_verify_locations(cafile=settings.tls_ca)
        except ssl.SSLError as exc:
            raise ConfigError(f"FORESHOCK_TLS_CA: {settings.tls_ca} holds no certificate in PEM") from exc
        except OSError as exc:
            raise ConfigError(f"FORESHOCK_TLS_CA: {settings.tls_ca} cannot be read: {exc.strerror or exc}") from exc
    return context
