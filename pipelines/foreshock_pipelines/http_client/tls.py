"""The TLS context of a config; nothing of the environment counts."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import certifi

from foreshock_models.errors import HttpError
from foreshock_pipelines.jobfile import TlsConfig

__all__ = ["stamp", "tls_context"]


def tls_context(config: TlsConfig) -> ssl.SSLContext:
    """A context for clients that trusts the CA of the config, else the certificates of the system.

    Raises
    ------
    HttpError
        A file is missing or holds something else; the text names it.
    """
    if config.ca_file is not None:
        _readable(config.ca_file, "the CA certificates")
    cafile, capath = _trusted(config.ca_file)
    try:
        # with a path given, OpenSSL does not look at SSL_CERT_FILE and SSL_CERT_DIR
        context = ssl.create_default_context(cafile=cafile, capath=capath)
    except (OSError, ssl.SSLError) as exc:
        raise HttpError(f"{config.ca_file}: holds no CA certificates in PEM: {exc.strerror or exc}") from exc
    if config.cert_file is not None and config.key_file is not None:
        _readable(config.cert_file, "the client certificate")
        _readable(config.key_file, "the key of the client certificate")
        try:
            context.load_cert_chain(config.cert_file, config.key_file, password=_NoPassphrase(config.key_file))
        except (OSError, ssl.SSLError) as exc:
            raise HttpError(
                f"{config.cert_file}, {config.key_file}: no client certificate with its key in PEM: "
                f"{exc.strerror or exc}"
            ) from exc
    if config.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def stamp(config: TlsConfig) -> tuple[int, ...]:
    """Changes when a file of the config does."""
    stamps = []
    for path in (config.ca_file, config.cert_file, config.key_file):
        try:
            stamps.append(0 if path is None else path.stat().st_mtime_ns)
        except OSError:
            stamps.append(-1)
    return tuple(stamps)


def _trusted(ca_file: Path | None) -> tuple[str | None, str | None]:
    """A file and a folder of certificates, one of them None."""
    if ca_file is not None:
        return str(ca_file), None
    system = ssl.get_default_verify_paths()
    if os.path.isfile(system.openssl_cafile):
        return system.openssl_cafile, None
    if os.path.isdir(system.openssl_capath) and os.listdir(system.openssl_capath):
        return None, system.openssl_capath
    return certifi.where(), None


def _readable(path: Path, what: str) -> None:
    try:
        path.open("rb").close()
    except OSError as exc:
        raise HttpError(f"{path}: cannot read {what}: {exc.strerror or exc}") from exc


class _NoPassphrase:
    """Refuses; without a callback OpenSSL would ask on the terminal."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self) -> str:
        raise HttpError(f"{self.path}: the key has a passphrase; store it without one, readable by Foreshock alone")
